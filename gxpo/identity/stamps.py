"""What Snakemake sees of the judge: an empty file for every stage of a cell that counts as done.

Snakemake deletes a rule's outputs before it makes them again, and decides by times; results must
survive both. So its rules have these stamps as outputs, and they are set from ``status`` whenever a
workflow starts: results that were copied, moved or restored are done, those of which a file or an
input has changed are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gxpo.cells import Cell
from gxpo.identity.status import OUTDATED, evaluation_problem, status, training_problem

TRAINED, EVALUATED = "trained", "evaluated"


def stamp_folder(name: str, model: str, label: str, seed: int | str) -> Path:
    return Path("results", name, "stamps", model, label, f"seed{seed}")


def set_stamps(cells: Iterable[Cell]) -> list[str]:
    """Make the stamps say what ``status`` says; a line for every cell that has results of something
    else than what is asked for: they will be moved aside."""
    lines = []
    for cell in cells:
        trained = training_problem(cell) is None
        evaluated = trained and evaluation_problem(cell) is None
        folder = stamp_folder(cell.name, cell.model, cell.label, cell.seed)
        for name, done in ((TRAINED, trained), (EVALUATED, evaluated)):
            _set(folder / name, done)
        if not evaluated and (found := status(cell)).state == OUTDATED:
            stage = "evaluated" if trained else "trained"
            lines.append(
                f"{cell.folder} is {stage} again, its results are moved aside: {found.reason}"
            )
    return lines


def _set(stamp: Path, done: bool) -> None:
    if not done:
        stamp.unlink(missing_ok=True)
    elif not stamp.exists():
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
