"""Learning curves: pass@1 against steps, training seconds and backward passes."""

from __future__ import annotations

import matplotlib.pyplot as plt

from gxpo.results.curves import curves
from gxpo.results.figures.panels import by_label, draw_runs, finish, panels
from gxpo.results.palette import styles
from gxpo.results.read import Results

SHOWN = {
    "step": "steps",
    "train_seconds": "training seconds",
    "backward_passes": "backward passes",
}


def learning_curves(results: Results) -> plt.Figure:
    """A row per model, a column per cost; thin lines are seeds, the thick line their mean."""
    models, look = list(results.config["models"]), styles(results.config["methods"])
    runs = {} if results.scores.empty else by_label(curves(results.scores))
    figure, axes = panels(models, len(SHOWN))
    for row, model in zip(axes, models, strict=True):
        row[0].set_ylabel(f"{model}\npass@1, average")
        for axis, (cost, title) in zip(row, SHOWN.items(), strict=True):
            axis.set_xlabel(title)
            for label, style in look.items():
                if (model, label) in runs:
                    draw_runs(axis, runs[model, label], cost, "pass_at_1", label, style, False)
    finish(figure, axes.flat)
    return figure
