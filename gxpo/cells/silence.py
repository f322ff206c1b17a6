"""Steps without any signal: every group of completions was all right or all wrong, so that all
advantages were zero and nothing could be learnt."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gxpo.cells.cell import Cell
from gxpo.cells.files import METRICS, STATE
from gxpo.cells.metrics import read_rows

SILENT_STEPS = 5  # in a row: after so many it is said


def silent_steps(rows: Sequence[dict[str, Any]]) -> int:
    """How many of the last rows of ``metrics.jsonl``, in a row, are of steps without a signal."""
    count = 0
    for row in reversed(rows):
        if row["zero_advantage"] != 1:
            break
        count += 1
    return count


def silence_remark(cell: Cell) -> str:
    """What is to be said of a cell in training, or stopped, that has no signal; else empty."""
    metrics = cell.folder / STATE / METRICS
    rows = read_rows(metrics) if metrics.exists() else []
    count = silent_steps(rows)
    if count < SILENT_STEPS:
        return ""
    return f"no signal in its last {count} steps: {show_command(cell)}"


def show_command(cell: Cell, config: str | None = None) -> str:
    """The command that shows a cell's completions.

    config: as the configuration was named; None: the one that the pipeline has resolved, if any.
    """
    resolved = Path("results", cell.name, "config.yaml")
    named = config or (str(resolved) if resolved.exists() else "CONFIG")
    options = ["--model", cell.model, "--label", cell.label, "--seed", str(cell.seed)]
    return shlex.join(["gxpo", "show", named, *options])
