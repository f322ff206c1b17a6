"""What figures share: grids of panels, the runs of a label and their mean, empty panels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection

from gxpo.results.palette import Style

Runs = dict[tuple[str, str], pd.DataFrame]


def panels(
    rows: list[str], columns: int, sharey: Literal["row", "col"] = "row"
) -> tuple[plt.Figure, np.ndarray]:
    """A figure of len(rows) x ``columns`` axes, each row named at its left."""
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(max(6.0, 4 * columns), 2.9 * len(rows) + 0.5),
        squeeze=False,
        sharey=sharey,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    return figure, axes


def by_label(frame: pd.DataFrame) -> Runs:
    """(model, label) -> its rows."""
    return {} if frame.empty else dict(list(frame.groupby(["model", "label"], sort=False)))


def draw_runs(
    axis: plt.Axes, runs: pd.DataFrame, x: str, y: str, label: str, style: Style, checkpoints: bool
) -> None:
    """A thin line per seed and the thick one of their mean, step by step (x and y both averaged).
    checkpoints: mark the points that were measured."""
    runs = runs.astype({y: float}).dropna(subset=[y])
    if runs.empty:
        return
    seeds = [run[[x, y]].to_numpy(float) for _, run in runs.groupby("seed")]
    # one artist: a figure of a large study has thousands of such lines
    axis.add_collection(LineCollection(seeds, colors=style.colour, lw=0.8, alpha=0.45))
    mean = runs.groupby("step", as_index=False)[list({x, y} - {"step"})].mean()
    look: dict[str, Any] = {"marker": style.marker, "ms": 4} if checkpoints else {}
    look["dashes"] = style.dashes or (None, None)
    axis.plot(mean[x], mean[y], color=style.colour, lw=2.2, label=label, **look)


def finish(figure: plt.Figure, axes: Iterable[plt.Axes]) -> None:
    """One legend above all panels; a panel without data says so."""
    handles: dict[str, Artist] = {}
    for axis in axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
        if not axis.has_data():
            say_no_run(axis)
    if handles:
        longest = max(map(len, handles))
        columns = max(1, int(figure.get_figwidth() / (0.6 + 0.09 * longest)))  # inches
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside upper center",
            ncols=columns,
            frameon=False,
        )


def say_no_run(axis: plt.Axes) -> None:
    axis.text(0.5, 0.5, "no run", transform=axis.transAxes, ha="center", va="center", color="grey")
