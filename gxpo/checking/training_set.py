"""Problem sets that are too small, or overlap, once what stands in a test suite is dropped."""

from __future__ import annotations

from gxpo.cells import Cell
from gxpo.host import UserError
from gxpo.preparation import refuse_selected_by_reported, training_problems
from gxpo.problems import Problem, is_prepared


def refuse_problem_sets(cell: Cell) -> None:
    """Raise UserError where a cell has too few problems to train on, or would be judged by problems
    that it reports. Sets that are not here yet are left to the cell."""
    if is_prepared(cell.train["problems"]):
        problems, record = training_problems(cell)
        refuse_too_few(cell, problems, len(record["dropped_problems"]))
    refuse_selected_by_reported(cell.evaluate)


def refuse_too_few(cell: Cell, problems: list[Problem], dropped: int) -> None:
    """Raise UserError where a rollout batch would hold a problem twice. dropped: how many problems
    also stand in a benchmark."""
    needed = cell.train["completions_per_step"] // cell.train["num_generations"]
    if len(problems) < needed:
        without = f" ({dropped} more also stand in a benchmark)" if dropped else ""
        raise UserError(
            f"train.problems: {cell.train['problems']!r} has {len(problems)} problems{without}, a "
            f"step needs {needed}: completions_per_step / num_generations"
        )
