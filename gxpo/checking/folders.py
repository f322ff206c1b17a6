"""Folders and files of a configuration's results that this user may not write to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gxpo.cells import METRICS, STATE, Cell, evaluation_sets
from gxpo.host import UserError, denied
from gxpo.identity import status
from gxpo.problems import is_prepared, problem_file

# Opened to be written; all other files are replaced, for which their folder's permission counts.
OPENED = ("lock", "log.txt", f"{STATE}/{METRICS}")
DATABASE = Path("results", "mlflow.db")


def refuse_denied(every: Sequence[Cell]) -> None:
    """Raise UserError where a cell that is to be run, or what is made from it, cannot be written.
    every: the cells of a configuration. A finished cell is only read."""
    results = Path("results", every[0].name)
    shared = [results / name for name in ("", "lock", "config.yaml", "logs", "runs", "models")]
    database = [DATABASE, DATABASE.with_suffix(".lock")] if DATABASE.exists() else []
    sets = evaluation_sets(every[0].evaluate).values()
    sources = {spec["problems"] for spec in (every[0].train, *sets)}
    fetched = [problem_file(source) for source in sorted(sources) if not is_prepared(source)]
    for path in (*shared, *database, *(file for file in fetched if file)):
        _refuse(path)
    for cell in every:
        folder = cell.folder
        paths = (folder, folder / STATE, *(folder / name for name in OPENED))
        problem = next((said for said in map(denied, paths) if said), None)
        if problem and not _finished(cell):
            raise UserError(problem)


def _finished(cell: Cell) -> bool:
    try:
        return status(cell)[0] == "finished"
    except PermissionError:  # it may not even be read
        return False


def _refuse(path: Path) -> None:
    if problem := denied(path):
        raise UserError(problem)
