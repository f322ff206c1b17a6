"""Folders and files of a configuration's results that this user may not write to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gxpo.cells import METRICS, STATE, Cell
from gxpo.cells.status import status
from gxpo.host import UserError, denied

# Opened to be written; all other files are replaced, for which their folder's permission counts.
OPENED = ("lock", "log.txt", f"{STATE}/{METRICS}")
DATABASE = Path("results", "mlflow.db")


def refuse_denied(every: Sequence[Cell]) -> None:
    """Raise UserError where a cell that is to be run, or what is made from it, cannot be written.
    every: the cells of a configuration. A finished cell is only read."""
    results = Path("results", every[0].name)
    shared = [results / name for name in ("", "lock", "config.yaml", "logs", "runs", "models")]
    database = [DATABASE, DATABASE.with_suffix(".lock")] if DATABASE.exists() else []
    for path in (*shared, *database):
        _refuse(path)
    for cell in every:
        folder = cell.folder
        paths = (folder, folder / STATE, *(folder / name for name in OPENED))
        problem = next((said for said in map(denied, paths) if said), None)
        if problem and status(cell)[0] != "finished":
            raise UserError(problem)


def refuse_denied_data(files: Sequence[Path]) -> None:
    """Raise UserError where a file of ``data/`` that is to be fetched cannot be written."""
    for file in files:
        _refuse(file)


def _refuse(path: Path) -> None:
    if problem := denied(path):
        raise UserError(problem)
