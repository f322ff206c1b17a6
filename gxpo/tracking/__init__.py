"""MLflow: the import of finished cells, and logging while one trains. Nothing reads it back.

May import ``config`` and what is below it.

The import is ``tracking.importing``: training imports this package and must not import mlflow,
whose seconds would be measured.
"""

from gxpo.tracking.live import HTTP, live_tracking, tracking_server
