"""The figure of ``gxpo.studies.gate_study``: noise on the left, recorded runs on the right."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from gxpo.host.drawing import own_style
from gxpo.results import COLOURS

MARKERS = "osD^vP"


@own_style()
def draw(noise: pd.DataFrame, replays: pd.DataFrame, horizon: int, folder: Path) -> list[Path]:
    """Write ``gates`` (PNG, PDF). Arguments as ``gxpo.studies.gate_study.gates`` makes them;
    without replays the right panel is left out."""
    panels = 2 if len(replays) else 1
    figure, axes = plt.subplots(
        1, panels, figsize=(5.5 * panels, 5.2), squeeze=False, layout="constrained"
    )
    names = list(noise["gate"].unique())
    colours = dict(zip(names, COLOURS, strict=False))
    _noise(axes[0][0], noise, horizon, colours)
    if panels == 2:
        _recorded(axes[0][1], replays, colours)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=2 if panels == 2 else 1, frameon=False
    )
    files = [folder / f"gates.{kind}" for kind in ("png", "pdf")]
    for file in files:
        figure.savefig(file, dpi=120)
    plt.close(figure)
    return files


def _noise(axis: plt.Axes, noise: pd.DataFrame, horizon: int, colours: dict[str, str]) -> None:
    """Median and quartiles against the scale; an open marker on the horizon: not within it."""
    axis.axhline(horizon, color="grey", lw=0.8, ls=":")
    curves = noise.groupby("gate", sort=False)
    for i, ((name, group), marker) in enumerate(zip(curves, MARKERS, strict=False)):
        median, low, high = (group[c].clip(upper=horizon) for c in ("median", "low", "high"))
        colour = colours[str(name)]
        axis.fill_between(group["scale"], low, high, color=colour, alpha=0.15, lw=0)
        axis.plot(group["scale"], median, color=colour, marker=marker, ms=8 - i, label=name)
        beyond = np.isinf(group["median"])
        axis.plot(group["scale"][beyond], median[beyond], marker, ms=11, mfc="none", color=colour)
    axis.set(xscale="log", yscale="log", xlabel="scale of the gradient norm H")
    axis.set_ylabel("steps on which the rule acts before the gate closes")
    axis.set_title(f"stationary noise H ± 0.2 H (dotted: the horizon, {horizon})", fontsize=10)
    axis.grid(alpha=0.3)


def _recorded(axis: plt.Axes, replays: pd.DataFrame, colours: dict[str, str]) -> None:
    """A marker per run and gate; open ones stand at the run's end: not within the run."""
    names = list(colours)
    for (_, _), run in replays.groupby(["model", "seed"], sort=False):
        for _, row in run.iterrows():
            closed = np.isfinite(row["closed"])
            axis.plot(
                row["closed"] if closed else row["steps"],
                names.index(row["gate"]) + 0.16 * (row["seed"] % 5 - 1),
                "o",
                color=colours[row["gate"]],
                mfc=colours[row["gate"]] if closed else "none",
            )
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, replays["steps"].max() * 1.04)
    axis.set_xlabel("step")
    axis.set_title("replayed over recorded runs (open: not within the run)", fontsize=10)
    axis.grid(alpha=0.3, axis="x")
