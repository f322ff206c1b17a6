"""Measurements beside the comparison: costs (``bench``), GXPO's prediction (``surrogate``), gates.

May import ``training``, ``results`` and what is below them.
"""
