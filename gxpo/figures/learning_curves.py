"""Learning curves: pass@1 against steps, training seconds and backward passes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from gxpo.curves import curves
from gxpo.palette import Style, styles
from gxpo.results import COSTS, Results

SHOWN = {
    "step": "steps",
    "train_seconds": "training seconds",
    "backward_passes": "backward passes",
}


def learning_curves(results: Results) -> plt.Figure:
    """A row per model, a column per cost; thin lines are seeds, the thick line their mean."""
    models, look = list(results.config["models"]), styles(results.config["methods"])
    figure, axes = plt.subplots(
        len(models),
        len(SHOWN),
        figsize=(4 * len(SHOWN), 2.9 * len(models) + 0.5),
        squeeze=False,
        sharey="row",
        layout="constrained",
    )
    for row, model in zip(axes, models, strict=True):
        row[0].set_ylabel(f"{model}\npass@1, average")
        for axis, (cost, title) in zip(row, SHOWN.items(), strict=True):
            axis.set_xlabel(title)
            axis.grid(alpha=0.3)
            for label, style in look.items():
                _draw(axis, results.scores, model, label, cost, style)
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(look), frameon=False)
    return figure


def _draw(
    axis: plt.Axes, scores: pd.DataFrame, model: str, label: str, cost: str, style: Style
) -> None:
    """The seeds of one label and their mean, checkpoint by checkpoint."""
    if scores.empty:
        return
    runs = curves(scores[(scores["model"] == model) & (scores["label"] == label)])
    for _, run in runs.groupby("seed"):
        axis.plot(run[cost], run["pass_at_1"], color=style.colour, lw=0.8, alpha=0.45)
    columns = [*(name for name in COSTS if name != "step"), "pass_at_1"]
    mean = runs.groupby("step", as_index=False)[columns].mean()
    axis.plot(mean[cost], mean["pass_at_1"], color=style.colour, lw=2.2, label=label)
