"""What was logged step by step: response length, the gate and the probes, retention."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from gxpo.results.figures.panels import by_label, draw_runs, finish, panels
from gxpo.results.palette import styles
from gxpo.results.read import Results

DIAGNOSTICS = {
    "method/gate_z": "gate z",
    "method/cos_g0_g_slow": "cos(g0, g_slow)",
    "method/displacement_ratio": "displacement ratio",
}


def response_length(results: Results) -> plt.Figure:
    """Mean completion length of the rollouts, tokens, against steps."""
    return _over_steps(results, {"response_length": "response length, tokens"})


def diagnostics(results: Results) -> plt.Figure:
    """Gate z, cos(g0, g_slow) and displacement ratio of the active steps."""
    return _over_steps(results, DIAGNOSTICS)


def retention(results: Results) -> plt.Figure:
    """Mean retention g1/g0 of the active steps, and one standard deviation over the coordinates."""
    figure = _over_steps(results, {"method/retention_mean": "retention"})
    look, runs = styles(results.config["methods"]), by_label(results.steps)
    for axis, model in zip(figure.axes, results.config["models"], strict=True):
        for label, style in look.items():
            part = runs.get((model, label), pd.DataFrame())
            if "method/retention_std" in part:
                names = ["method/retention_mean", "method/retention_std"]
                columns = part.astype(dict.fromkeys(names, float)).groupby("step")[names]
                means = columns.mean().dropna()
                middle, spread = means[names[0]], means[names[1]]
                low, high = middle - spread, middle + spread
                axis.fill_between(means.index, low, high, color=style.colour, alpha=0.15, lw=0)
    return figure


def _over_steps(results: Results, shown: dict[str, str]) -> plt.Figure:
    models, look = list(results.config["models"]), styles(results.config["methods"])
    runs = by_label(results.steps)
    figure, axes = panels(models, len(shown), sharey="col")
    for row, model in zip(axes, models, strict=True):
        for axis, (column, title) in zip(row, shown.items(), strict=True):
            axis.set_xlabel("steps")
            axis.set_ylabel(f"{model}\n{title}" if axis is row[0] else title)
            for label, style in look.items():
                part = runs.get((model, label), pd.DataFrame())
                if column in part:
                    draw_runs(axis, part, "step", column, label, style, False)
    finish(figure, axes.flat)
    return figure
