"""The papers' curves of pass@n: against steps by alpha and K, against time, against passes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from gxpo.results.curves import curves
from gxpo.results.figures.panels import Runs, by_label, draw_runs, finish, panels
from gxpo.results.palette import styles
from gxpo.results.read import Results
from gxpo.results.tables.paper_runs import label_rows, time_unit


def steps_by_k(results: Results) -> plt.Figure:
    """pass@n against steps: a row per model, a column per K, a line per label (alpha, method); the
    baseline, which has no K, in every panel."""
    models, look, runs = _of(results)
    rows = label_rows(results)
    ks = sorted(rows["k"].dropna().unique()) if len(rows) else []
    figure, axes = panels(models, max(1, len(ks)))
    for line, model in zip(axes, models, strict=True):
        line[0].set_ylabel(f"{model}\npass@n, average")
        for axis, k in zip(line, ks or [None], strict=True):
            axis.set_xlabel("steps")
            axis.set_title("" if k is None else f"K = {k:g}", fontsize=10)
            shown = rows if k is None else rows[(rows["k"] == k) | rows["k"].isna()]
            for label in dict.fromkeys(shown["label"] if len(rows) else []):
                if (model, label) in runs:
                    part = runs[model, label]
                    draw_runs(axis, part, "step", "pass_at_n", label, look[label], True)
    finish(figure, axes.flat)
    return figure


def wall_clock(results: Results) -> plt.Figure:
    """pass@n against training time, and the efficiency frontier: the best of all labels' mean
    curves that was to be had within each time."""
    if results.steps.empty:
        return _against(results, "train_seconds", "training hours", 1)
    unit, seconds = time_unit(results.steps["train_seconds"])
    return _against(results, "train_seconds", f"training {unit}", 1 / seconds)


def backward_passes(results: Results) -> plt.Figure:
    """The same against backward passes."""
    return _against(results, "backward_passes", "backward passes", 1)


def frontier(runs: Runs, model: str, cost: str) -> pd.DataFrame:
    """``cost`` and pass_at_n of the checkpoints, means over seeds, of a model's labels that no
    cheaper or equally cheap one equals: both columns increase."""
    means = [
        part.groupby("step")[[cost, "pass_at_n"]].mean()
        for (name, _), part in runs.items()
        if name == model
    ]
    if not means:
        return pd.DataFrame(columns=[cost, "pass_at_n"])
    points = pd.concat(means).sort_values([cost, "pass_at_n"], ascending=[True, False])
    better = points["pass_at_n"] > points["pass_at_n"].cummax().shift(fill_value=-1)
    return points[better].reset_index(drop=True)


def _against(results: Results, cost: str, title: str, factor: float) -> plt.Figure:
    models, look, runs = _of(results)
    runs = {key: part.assign(**{cost: part[cost] * factor}) for key, part in runs.items()}
    figure, axes = panels(models, 1)
    for axis, model in zip(axes[:, 0], models, strict=True):
        axis.set_ylabel(f"{model}\npass@n, average")
        axis.set_xlabel(title)
        best = frontier(runs, model, cost)
        if len(best):
            shape = {"where": "post", "lw": 7, "alpha": 0.3, "label": "frontier"}
            axis.step(best[cost], best["pass_at_n"], color="grey", **shape)
        for label, style in look.items():
            if (model, label) in runs:
                draw_runs(axis, runs[model, label], cost, "pass_at_n", label, style, True)
    finish(figure, axes.flat)
    return figure


def _of(results: Results) -> tuple[list[str], dict, Runs]:
    runs = {} if results.scores.empty else by_label(curves(results.scores, "pass_at_n"))
    return list(results.config["models"]), styles(results.config["methods"]), runs
