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
    mean, low, high = seed_band(x[:, None], level)
    return Estimate(float(mean[0]), float(low[0]), float(high[0]))


def seed_band(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``seed_interval`` of every column of values (seeds, points): mean, low, high (points,). The
    intervals are pointwise; a column with a NaN has neither mean nor interval."""
    n, mean = len(values), values.mean(axis=0)
    if n < 2:
        none = np.full_like(mean, math.nan)
        return mean, none, none
    half = stats.t.ppf((1 + level) / 2, n - 1) * values.std(axis=0, ddof=1) / math.sqrt(n)
    return mean, mean - half, mean + half
