"""A cell's scores, read back."""

from __future__ import annotations

import pandas as pd

from gxpo.cells.cell import Cell
from gxpo.cells.files import PROBLEM_SCORES, SCORES


def read_scores(cell: Cell) -> pd.DataFrame:
    """``scores.csv`` of a cell."""
    return pd.read_csv(cell.folder / SCORES, converters={"benchmark": str})  # may be named "null"


def read_problem_scores(cell: Cell, steps: list[int]) -> pd.DataFrame:
    """step, benchmark, problem, correct (of its samples), samples at some of a cell's checkpoints.

    Reads only those rows of ``problems.parquet``: a run of the papers' size has a hundred thousand.
    """
    return pd.read_parquet(cell.folder / PROBLEM_SCORES, filters=[("step", "in", steps)])
