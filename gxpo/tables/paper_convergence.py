"""Cost of reaching GRPO's peak, by the papers' definition."""

from __future__ import annotations

import math

import pandas as pd

from gxpo.results import COSTS, GROUP, SELECTION, Results
from gxpo.tables.table import Table, number

PAID = ["step", "train_seconds", "backward_passes"]  # what the papers count
RATIOS = ["step_speedup", "wall_clock_speedup", "backward_pass_speedup"]


def convergence(results: Results) -> Table:
    """Steps, seconds and backward passes to GRPO's peak on the selection split.

    The peak is the highest pass@1 of the baseline's trained checkpoints with the same model and
    seed; it costs the baseline what its argmax cost, any other label what its first checkpoint at
    or above the peak cost. Means are over the seeds that reached it (n_reached of n_seeds),
    speedups are ratios of means over those seeds; NaN where no seed reached it. This definition
    favours the rival (argmax against first crossing): read n_reached and the differences beside it.
    """
    columns = [*GROUP, "n_seeds", "n_reached", "steps", "seconds", "backward_passes"]
    frame = pd.DataFrame(_rows(results), columns=[*columns, *RATIOS, "active_fraction"])
    return Table(
        name="paper_2_convergence",
        title="Cost of reaching GRPO's peak on the selection split (the papers' definition)",
        frame=frame,
        shown=_shown(frame),
        notes=[
            "reached: seeds that got there; the other columns are means over those seeds only, so "
            "read them together with it. active: share of steps on which the rule acted and not "
            "its GRPO fallback. –: never reached, or no gate."
        ],
    )


def _rows(results: Results) -> list[tuple]:
    if results.scores.empty:
        return []
    scores = results.scores
    trained = scores[(scores["benchmark"] == SELECTION) & (scores["step"] > 0)]
    rows = []
    for key, runs in trained.groupby(GROUP, sort=False):
        model, label, _ = key
        baselines = trained[(trained["model"] == model) & (trained["label"] == results.baseline)]
        own, peaks = costs_to_peak(runs, baselines, label == results.baseline)
        costs = [own[cost].mean() for cost in PAID]
        ratios = [peaks[cost].mean() / own[cost].mean() for cost in PAID]
        active = active_fraction(results.steps, model, label)
        rows.append((*key, runs["seed"].nunique(), len(own), *costs, *ratios, active))
    return rows


def costs_to_peak(
    runs: pd.DataFrame, baselines: pd.DataFrame, is_baseline: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What reaching the baseline's peak cost a label and the baseline: a row for every seed that
    reached it, the columns of ``COSTS``. Empty frames where none did."""
    own, peaks = [], []
    for seed, run in runs.groupby("seed"):
        baseline = baselines[baselines["seed"] == seed]
        if baseline.empty:
            continue
        peak = baseline.loc[baseline["pass_at_1"].idxmax()]
        reached = run[run["pass_at_1"] >= peak["pass_at_1"]].sort_values("step")
        if is_baseline:
            reached = reached[reached["step"] == peak["step"]]
        if len(reached):
            own.append(reached.iloc[0])
            peaks.append(peak)
    return pd.DataFrame(own, columns=[*COSTS]), pd.DataFrame(peaks, columns=[*COSTS])


def active_fraction(steps: pd.DataFrame, model: str, label: str) -> float:
    """Share of steps on which the rule itself acted, not its GRPO fallback; NaN without a gate."""
    run = steps[(steps["model"] == model) & (steps["label"] == label)]
    return float(run["method/active"].mean()) if "method/active" in run else math.nan


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """In words a reader takes in: 'reached 2 of 3', '1.33x'."""
    return pd.DataFrame(
        {
            "model": frame["model"],
            "label": frame["label"],
            "reached": [
                f"{r} of {n}" for r, n in zip(frame["n_reached"], frame["n_seeds"], strict=True)
            ],
            "steps": [number(v, ".1f") for v in frame["steps"]],
            "seconds": [number(v, ".1f") for v in frame["seconds"]],
            "backward passes": [number(v, ".1f") for v in frame["backward_passes"]],
            "step speedup": [number(v, ".2f", "x") for v in frame["step_speedup"]],
            "wall-clock speedup": [number(v, ".2f", "x") for v in frame["wall_clock_speedup"]],
            "backward-pass speedup": [
                number(v, ".2f", "x") for v in frame["backward_pass_speedup"]
            ],
            "active": [number(100 * v, ".0f", " %") for v in frame["active_fraction"]],
        }
    )
