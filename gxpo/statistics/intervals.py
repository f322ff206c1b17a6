"""Estimates over training seeds, the unit of inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Estimate(NamedTuple):
    """A mean with its interval; the interval is NaN where one value allows none."""

    mean: float
    low: float
    high: float


def seed_interval(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Mean over seeds with a two-sided t interval (n - 1 degrees of freedom). For a paired
    difference, pass the differences. With one seed there is no interval (NaN)."""
    x = np.asarray(values, dtype=float)
    mean = float(x.mean())
    if len(x) < 2:
        return Estimate(mean, math.nan, math.nan)
    half = float(stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return Estimate(mean, mean - half, mean + half)
