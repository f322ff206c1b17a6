"""What stands in the way of new results is moved aside, never deleted."""

from __future__ import annotations

from pathlib import Path

from gxpo.cells import Cell
from gxpo.cells.files import LOG
from gxpo.cells.lock import LOCK

REPLACED = "replaced"
STAYING = (LOCK, LOG)  # are open, and of the folder rather than of the results in it


def set_aside(cell: Cell, names: tuple[str, ...] | None = None) -> Path | None:
    """Move the files of a cell's folder (``names`` of them; None: all but the lock and the log) to
    ``results/<name>/replaced/<model>/<label>/seed<n>/<number>``, and return that; None where there
    is nothing to move."""
    folder = cell.folder
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    moving = [path for path in there if path.name not in STAYING]
    if names is not None:
        moving = [path for path in moving if path.name in names]
    if not moving:
        return None
    target = _next(cell)
    for path in moving:
        path.rename(target / path.name)
    return target


def _next(cell: Cell) -> Path:
    place = Path("results", cell.name, REPLACED, cell.model, cell.label, f"seed{cell.seed}")
    place.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(p.name) for p in place.iterdir() if p.name.isdigit()), default=0)
    target = place / str(number)
    target.mkdir()
    return target
