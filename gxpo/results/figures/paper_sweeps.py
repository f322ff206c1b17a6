"""The papers' sweeps: the landscape over alpha and K, tau at three budgets."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from gxpo.results.figures.panels import finish, panels, say_no_run
from gxpo.results.palette import styles
from gxpo.results.read import GROUP, Results
from gxpo.results.tables.paper_accuracy import benchmark_accuracy
from gxpo.results.tables.paper_budgets import at_budgets
from gxpo.results.tables.paper_runs import families, judged_in_part


def landscape(results: Results) -> plt.Figure:
    """Best average pass@1 (percent) over alpha and K: a row per model, a column per sweep of a
    method; what was not run is an empty field with a dash. Best of the checkpoints that have an
    average: where benchmarks wait for the end, the last and the chosen one."""
    models = list(results.config["models"])
    sweeps = [(group["model"].iloc[0], group) for group in families(results, ["alpha", "k"])]
    of_model = {m: [group for name, group in sweeps if name == m] for m in models}
    figure, axes = panels(models, max(1, *(len(groups) for groups in of_model.values())))
    best = benchmark_accuracy(results).frame.set_index(GROUP)["average"]
    judged = "last or chosen" if judged_in_part(results) else "best"
    for row, model in zip(axes, models, strict=True):
        for axis, group in zip(row, of_model[model], strict=False):
            _heat_map(axis, group.join(best, on=GROUP), f"{judged} pass@1, %")
            axis.set_ylabel(f"{model}\nalpha")
    for axis in axes.flat:
        if not axis.has_data():
            say_no_run(axis)
    return figure


def _heat_map(axis: plt.Axes, group: pd.DataFrame, measured: str) -> None:
    table = group.pivot_table("average", "alpha", "k", dropna=False).astype(float) * 100
    values = table.to_numpy()
    if np.isnan(values).all():
        return
    image = axis.imshow(values, cmap="cividis", origin="lower", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (i, j), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.1f}"
        light = not np.isnan(value) and value < middle
        axis.text(j, i, text, ha="center", va="center", color="white" if light else "black")
    axis.set_xticks(range(len(table.columns)), [f"{k:g}" for k in table.columns])
    axis.set_yticks(range(len(table.index)), [f"{alpha:g}" for alpha in table.index])
    axis.set_xlabel("K")
    axis.set_title(group["method"].iloc[0], fontsize=10)
    axis.grid(visible=False)
    axis.figure.colorbar(image, ax=axis, label=measured)


def tau_sweep(results: Results) -> plt.Figure:
    """pass@1 against tau after each budget of backward passes (``report.backward_passes``)."""
    models, look = list(results.config["models"]), styles(results.config["methods"])
    budgets = results.config["report"]["backward_passes"]
    found, sweeps = at_budgets(results, "backward_passes", budgets), families(results, ["tau"])
    figure, axes = panels(models, len(budgets))
    for row, model in zip(axes, models, strict=True):
        row[0].set_ylabel(f"{model}\npass@1, average")
        for axis, budget in zip(row, budgets, strict=True):
            axis.set_title(f"{budget:g} backward passes", fontsize=10)
            axis.set_xlabel("tau")
            here = found[(found["model"] == model) & (found["budget"] == budget)]
            for group in (g for g in sweeps if g["model"].iloc[0] == model):
                points = here[here["label"].isin(group["label"])].dropna(subset=["pass_at_1"])
                _draw_sweep(axis, points.sort_values("tau"), look)
    finish(figure, axes.flat)
    return figure


def _draw_sweep(axis: plt.Axes, points: pd.DataFrame, look: dict) -> None:
    if points.empty:
        return
    axis.plot(points["tau"], points["pass_at_1"], color="grey", lw=1, zorder=1)
    for point in points.itertuples():
        style = look[point.label]
        shape = {"color": style.colour, "marker": style.marker, "ls": "", "label": point.label}
        axis.plot([point.tau], [point.pass_at_1], **shape)
