"""Measurements against their bounds, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tabulate import tabulate

# What is promised: measurement -> (the bound, whether it is an upper one)
BOUNDS = {
    "grpo_vs_trl": (1.02, True),
    "gxpo_vs_3_grpo": (1.03, True),
    "sfpo_vs_kplus1_grpo": (1.03, True),
    "refresh_speedup": (1.15, False),
    "gxpo_extra_memory_ratio": (2.0, True),
    "gate_closed_extra_memory_ratio": (0.0, True),
}
KEYS = tuple(BOUNDS)[:5]  # on the top level of the JSON


@dataclass(frozen=True)
class Measurement:
    """One measured ratio: ``values`` are its paired runs, one where it is deterministic.

    name: a key of BOUNDS, or anything else for what is measured for information.
    """

    name: str
    model: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return float(np.median(self.values))

    @property
    def quartiles(self) -> tuple[float, float]:
        first, third = np.quantile(self.values, (0.25, 0.75))
        return float(first), float(third)

    @property
    def held(self) -> bool | None:
        """Whether the median keeps the bound; None where there is none."""
        if self.name not in BOUNDS:
            return None
        bound, upper = BOUNDS[self.name]
        return self.median <= bound if upper else self.median >= bound


def worst(measurements: Sequence[Measurement]) -> dict[str, float]:
    """By key of the JSON: the least favourable median over models and kinds of fine-tuning."""
    found = {}
    for key in KEYS:
        medians = [m.median for m in measurements if m.name == key]
        found[key] = max(medians) if BOUNDS[key][1] else min(medians)
    return found


def all_held(measurements: Sequence[Measurement]) -> bool:
    return all(m.held is not False for m in measurements)


def table(measurements: Sequence[Measurement]) -> str:
    """Markdown, a row a measurement."""
    rows = []
    for m in measurements:
        bound, spread = "", "deterministic"
        if m.name in BOUNDS:
            bound = f"{'<=' if BOUNDS[m.name][1] else '>='} {BOUNDS[m.name][0]:.2f}"
        if len(m.values) > 1:
            spread = "{:.3f} to {:.3f}".format(*m.quartiles)
        elif "memory" not in m.name:
            spread = ""
        held = {True: "yes", False: "NO", None: ""}[m.held]
        rows.append((m.name, m.model, f"{m.median:.3f}", spread, len(m.values), bound, held))
    headers = ("measurement", "model", "median", "quartiles", "n", "bound", "held")
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def as_json(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """The five keys, and under ``details`` every measurement."""
    details = [
        {
            "measurement": m.name,
            "model": m.model,
            "median": m.median,
            "quartiles": m.quartiles,
            "n": len(m.values),
            "bound": BOUNDS[m.name][0] if m.name in BOUNDS else None,
            "held": m.held,
            "values": list(m.values),
        }
        for m in measurements
    ]
    return {**worst(measurements), "details": details}
