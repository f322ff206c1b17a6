"""``train.optimizer`` and ``train.schedule``: names and settings, completed with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gxpo.host import UserError

ADAM = {"betas": [0.9, 0.999]}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adamw": {**ADAM, "weight_decay": 0.0},
    "sgd": {"momentum": 0.0, "weight_decay": 0.0},
    # momentum and decay as GXPO's authors run it
    "muon": {"momentum": 0.95, **ADAM, "weight_decay": 0.01},
}
"""Name -> its settings and their defaults."""


def complete_optimizer(given: str | Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer by name, or with settings of its own, as a mapping with all that it has. Raises
    UserError for a setting that it does not have."""
    entry = {"name": given} if isinstance(given, str) else dict(given)
    known = OPTIMIZERS[entry["name"]]
    for key in entry:
        if key != "name" and key not in known:
            raise UserError(f"{entry['name']} has no {key}, it has {', '.join(known)}")
    return {**known, **entry}


def complete_schedule(given: str | Mapping[str, Any], steps: int) -> dict[str, Any]:
    """A learning-rate schedule likewise. Raises UserError where its warm-up is the whole run."""
    entry: dict[str, Any] = {"warmup": 0}
    entry |= {"name": given} if isinstance(given, str) else given
    if entry["warmup"] >= steps:
        raise UserError(f"warmup is {entry['warmup']} steps of {steps}: nothing is left to train")
    return entry
