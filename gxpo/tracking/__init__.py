"""Cells as runs in MLflow: sent while they train (``live``), completed afterwards (``importing``).

Empty, because training imports ``live`` and must not import mlflow: its time is measured.
"""
