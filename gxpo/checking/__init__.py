"""What would stop a run, or give it other numbers than its configuration says, found in seconds
from the files that are there: nothing is loaded into a model.

May import ``preparation``, ``policy`` and what is below them.

Models and problem sets that are not here yet are left to preparation and to the cell itself, which
checks its own once more before its first step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gxpo.cells import Cell
from gxpo.checking.folders import refuse_denied
from gxpo.checking.lora import refuse_unmatched
from gxpo.checking.model import refuse_model
from gxpo.checking.prompts import refuse_prompts, refuse_template
from gxpo.checking.training_set import refuse_problem_sets, refuse_too_few
from gxpo.config import cells
from gxpo.host import UserError


def reasons(config: dict[str, Any]) -> Iterator[str]:
    """Why a completed configuration cannot run as it says; a line each, nothing for a good one."""
    for check in _checks(config):
        try:
            check()
        except UserError as error:
            yield f"config: {error}"


def refuse_unusable(config: dict[str, Any]) -> None:
    """Raise UserError with the first of the reasons, if there is one."""
    for reason in reasons(config):
        raise UserError(reason)


def _checks(config: dict[str, Any]) -> Iterator[Callable[[], None]]:
    every = cells(config)
    of_models = {cell.model: cell for cell in reversed(every)}  # any cell of a model
    yield partial(refuse_problem_sets, every[0])
    for label in config["models"]:
        yield partial(_named, label, of_models[label])
    yield partial(refuse_denied, every)


def _named(label: str, cell: Cell) -> None:
    try:
        refuse_model(cell)
    except UserError as error:
        raise UserError(f"models.{label}: {error}") from error
