"""How much of a run the rule under study acted at all."""

from __future__ import annotations

import math

import pandas as pd


def active_fractions(steps: pd.DataFrame) -> dict[tuple[str, str], float]:
    """(model, label) -> share of steps on which the rule itself acted, not its GRPO fallback; NaN
    for labels without a gate. ``steps``: of Results."""
    if steps.empty:
        return {}
    if "method/active" not in steps:
        steps = steps.assign(**{"method/active": math.nan})
    return steps.groupby(["model", "label"], sort=False)["method/active"].mean().to_dict()
