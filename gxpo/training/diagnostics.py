"""What TRL's own log says of a rule, for every logger that ``report_to`` names.

method/NAME                the rule's diagnostics (``method/active``), as TRL averages its own
cost/NAME_of_step          backward passes and optimizer steps of an update
cost/NAME                  passes, steps, tokens and seconds so far
step_time                  seconds of a whole step; TRL's would leave out all passes but the first
"""

from __future__ import annotations

from dataclasses import asdict
from numbers import Real
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gxpo.host import UserError
from gxpo.method import Cost, Method

if TYPE_CHECKING:
    from gxpo.training.trainer import MethodTrainer


def checked(method: Method, returned: Any) -> dict[str, float]:
    """What ``method.update`` returned, a tensor of one element as its number. Raises UserError for
    anything that no logger could take."""
    rule = type(method).__name__
    if not isinstance(returned, dict):
        raise UserError(
            f"{rule}.update must return a dict of diagnostics, perhaps empty, not {returned!r}"
        )
    found: dict[str, Any] = {}
    for name, value in returned.items():
        number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
        if not isinstance(number, Real):
            raise UserError(f"{rule}.update: diagnostic {name!r} is no number: {value!r}")
        found[name] = number
    return found


def of_update(metrics: dict[str, float], before: Cost, after: Cost) -> dict[str, float]:
    """One update's entries. before, after: the counts around it."""
    return {
        **{f"method/{name}": float(value) for name, value in metrics.items()},
        "cost/backward_passes_of_step": float(after.backward_passes - before.backward_passes),
        "cost/optimizer_steps_of_step": float(after.optimizer_steps - before.optimizer_steps),
    }


def so_far(trainer: MethodTrainer) -> dict[str, float]:
    """The counts and seconds since training began, over all processes (seconds: of this one)."""
    seconds = trainer.clock.seconds
    return {
        **{f"cost/{name}": count for name, count in asdict(trainer.cost).items()},
        "cost/rollout_tokens": trainer.rollout_tokens,
        "cost/rollout_seconds": seconds["rollout"],
        "cost/update_seconds": seconds["train"] - seconds["rollout"],
        "cost/train_seconds": seconds["train"],
    }
