"""The sweep over alpha: where the gate closed, what the run and its best checkpoint cost."""

from __future__ import annotations

import pandas as pd

from gxpo.results.read import AVERAGE, GROUP, Results
from gxpo.results.tables.paper_runs import (
    HOUR,
    RUN_KEYS,
    best_checkpoints,
    choice_note,
    families,
    last_steps,
    mark_missing,
    missing_note,
    seed_means,
    time_unit,
    whole,
    with_values,
)
from gxpo.results.tables.table import NOTHING, Table, number

PAID = {"step": "steps", "backward_passes": "backward_passes", "train_seconds": "seconds"}
VALUES = [
    "best_average",
    *("n_closed", "switch_off_step"),
    *(f"total_{name}" for name in PAID.values()),
    *(f"best_{name}" for name in PAID.values()),
]


def alpha_sweep(results: Results) -> Table:
    """Every set of labels that differ in alpha alone: best average, step of the switch-off, totals
    of the run and cost of the best checkpoint.

    switch_off_step: the last step on which the rule acted, mean over the n_closed seeds whose gate
    had closed by the end of the run. Everything else is a mean over finished seeds.
    """
    sweeps = families(results, ["alpha"])
    rows = pd.concat(sweeps) if sweeps else pd.DataFrame(columns=[*GROUP, "k", "alpha", "n_seeds"])
    values = pd.DataFrame(columns=VALUES) if rows.empty else _values(results)
    frame = with_values(rows.reset_index(drop=True), values.reindex(columns=VALUES))
    frame = frame.drop(columns="tau", errors="ignore")
    frame["n_closed"] = frame["n_closed"].astype(float).fillna(0).astype(int)
    return Table(
        name="paper_5_alpha",
        title="Sweep of alpha (the papers' best checkpoint)",
        frame=frame,
        shown=mark_missing(_shown(frame), frame, first=4),
        notes=[
            "Labels that differ in alpha alone. best: highest average of a trained checkpoint, "
            "percent, inflated by the choice. switched off: the last step on which the rule acted, "
            f"in the seeds (r of n) whose gate closed; {NOTHING}: in none. Totals of the run; to "
            "best: cost of the best checkpoint. Means over seeds.",
            *choice_note(results),
            *missing_note(results),
        ],
        empty="(nothing finished yet)"
        if results.scores.empty
        else "(no sweep: no two labels of a model differ in alpha alone)",
    )


def _values(results: Results) -> pd.DataFrame:
    totals = last_steps(results)
    best = results.scores.merge(best_checkpoints(results.scores), on=[*RUN_KEYS, "step"])
    average = best[best["benchmark"] == AVERAGE]
    parts = [
        seed_means(average, ["pass_at_1"]).rename(columns={"pass_at_1": "best_average"}),
        switch_offs(results.steps),
        seed_means(totals, PAID).rename(columns={k: f"total_{v}" for k, v in PAID.items()}),
        seed_means(average, PAID).rename(columns={k: f"best_{v}" for k, v in PAID.items()}),
    ]
    return parts[0].join(parts[1:])


def switch_offs(steps: pd.DataFrame) -> pd.DataFrame:
    """n_closed and switch_off_step by model, label, method: a run whose last step was active has
    not switched off."""
    if "method/active" not in steps:
        return pd.DataFrame(columns=["n_closed", "switch_off_step"])
    gated = steps[steps["method/active"].notna()]
    runs = gated.sort_values([*RUN_KEYS, "step"]).groupby(RUN_KEYS, sort=False)
    last = runs.agg(last=("step", "last"), active=("method/active", "last"))
    acted = gated[gated["method/active"] == 1].groupby(RUN_KEYS)["step"].max()
    closed = last[last["active"] == 0].join(acted.rename("switch_off_step"))
    closed["switch_off_step"] = closed["switch_off_step"].fillna(0)
    groups = closed.groupby(GROUP, sort=False)["switch_off_step"]
    return groups.agg(n_closed="size", switch_off_step="mean")


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    unit, seconds = time_unit(frame["total_seconds"])
    spec = ".2f" if seconds == HOUR else ".1f"
    closed = zip(frame["switch_off_step"], frame["n_closed"], frame["n_seeds"], strict=True)
    return pd.DataFrame(
        {
            "model": frame["model"],
            "label": frame["label"],
            "K": [whole(v) for v in frame["k"]],
            "alpha": [f"{v:g}" for v in frame["alpha"]],
            "best": [number(100 * v, ".1f") for v in frame["best_average"]],
            "switched off": [f"{whole(s)} ({r} of {n})" if r else NOTHING for s, r, n in closed],
            "steps": [whole(v) for v in frame["total_steps"]],
            "passes": [whole(v) for v in frame["total_backward_passes"]],
            unit: [number(v / seconds, spec) for v in frame["total_seconds"]],
            "steps to best": [whole(v) for v in frame["best_steps"]],
            "passes to best": [whole(v) for v in frame["best_backward_passes"]],
            f"{unit} to best": [number(v / seconds, spec) for v in frame["best_seconds"]],
        }
    )
