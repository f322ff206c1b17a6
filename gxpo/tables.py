"""The tables of a run: accuracy, differences to the baseline, and speedup, as CSV and Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from gxpo.results import AVERAGE, COSTS, Results, read_results
from gxpo.statistics import seed_interval

GROUP = ["model", "label", "method"]


def tables(config: dict[str, Any], folder: Path) -> None:
    """Write ``accuracy``, ``differences``, ``speedup`` and ``unfinished`` (CSV) and ``tables.md``
    to ``folder``. Made from whatever has finished."""
    results = read_results(config)
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "accuracy": accuracy_table(results),
        "differences": difference_table(results),
        "speedup": speedup_table(results),
        "unfinished": results.unfinished,
    }
    for name, table in made.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "tables.md").write_text(_markdown(config, results, made), encoding="utf-8")


def accuracy_table(results: Results) -> pd.DataFrame:
    """pass@1 at the last checkpoint: mean over seeds and 95 % t interval over seeds, fractions."""
    columns = [*GROUP, "benchmark", "n_seeds", "pass_at_1", "ci_low", "ci_high"]
    rows = [
        (*key, benchmark, len(values), *seed_interval(list(values)))
        for key, benchmark, values in _last_checkpoint(results)
    ]
    return pd.DataFrame(rows, columns=columns)


def difference_table(results: Results) -> pd.DataFrame:
    """pass@1 at the last checkpoint minus the baseline's, paired by seed (seeds both finished)."""
    columns = [*GROUP, "benchmark", "n_seeds", "difference", "ci_low", "ci_high"]
    last = {(*key, benchmark): values for key, benchmark, values in _last_checkpoint(results)}
    baselines = {(k[0], k[3]): v for k, v in last.items() if k[1] == results.baseline}
    rows = []
    for key, values in last.items():
        baseline = baselines.get((key[0], key[3]))
        if baseline is None or key[1] == results.baseline:
            continue
        differences = (values - baseline).dropna()
        if len(differences):
            rows.append((*key, len(differences), *seed_interval(list(differences))))
    return pd.DataFrame(rows, columns=columns)


def speedup_table(results: Results) -> pd.DataFrame:
    """Cost of reaching GRPO's peak on the selection split, by the papers' definition.

    The peak is the highest pass@1 of the baseline's trained checkpoints with the same model and
    seed; it costs the baseline what its argmax cost, any other label what its first checkpoint at
    or above the peak cost. Means are over the seeds that reached it (n_reached of n_seeds),
    speedups are ratios of means over those seeds; empty where no seed reached it. This definition
    favours the rival (argmax against first crossing): read n_reached and the differences beside it.
    """
    columns = [*GROUP, "n_seeds", "n_reached", "steps", "seconds", "backward_passes"]
    columns += ["step_speedup", "wall_clock_speedup", "backward_pass_speedup", "active_fraction"]
    if results.scores.empty:
        return pd.DataFrame(columns=columns)
    scores = results.scores
    trained = scores[(scores["benchmark"] == "selection") & (scores["step"] > 0)]
    rows = []
    for key, runs in trained.groupby(GROUP, sort=False):
        model, label, _ = key
        baselines = trained[(trained["model"] == model) & (trained["label"] == results.baseline)]
        own, peaks = _costs_to_peak(runs, baselines, label == results.baseline)
        costs = [own[cost].mean() for cost in COSTS]
        ratios = [peaks[cost].mean() / own[cost].mean() for cost in COSTS]
        active = _active_fraction(results.steps, model, label)
        rows.append((*key, runs["seed"].nunique(), len(own), *costs, *ratios, active))
    return pd.DataFrame(rows, columns=columns)


def _costs_to_peak(
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


def _last_checkpoint(results: Results) -> Iterator[tuple[tuple[str, ...], str, pd.Series]]:
    """(model, label, method), benchmark and pass@1 per seed, at each cell's last step."""
    scores = results.scores
    if scores.empty:
        return
    scores = scores[scores["benchmark"] != "selection"]
    last = scores[scores["step"] == scores.groupby([*GROUP, "seed"])["step"].transform("max")]
    for key, group in last.groupby([*GROUP, "benchmark"], sort=False):
        yield key[:3], key[3], group.set_index("seed")["pass_at_1"]


def _active_fraction(steps: pd.DataFrame, model: str, label: str) -> float:
    """Share of steps on which the rule itself acted, not its GRPO fallback; NaN without a gate."""
    run = steps[(steps["model"] == model) & (steps["label"] == label)]
    return float(run["method/active"].mean()) if "method/active" in run else math.nan


def _markdown(config: dict[str, Any], results: Results, made: dict[str, pd.DataFrame]) -> str:
    seeds = len(config["seeds"])
    accuracy = _pivot(made["accuracy"], "pass_at_1", signed=False)
    differences = _pivot(made["differences"], "difference", signed=True)
    speedup = made["speedup"]
    parts = [
        f"# {config['name']}",
        "## pass@1 at the last checkpoint",
        f"Percent; mean over training seeds (up to {seeds}) and 95 % t interval over seeds.",
        accuracy,
        f"## Difference to {results.baseline or 'the baseline'}",
        "Percentage points, paired by seed, 95 % t interval over seeds.",
        differences,
        "## Cost of reaching GRPO's peak on the selection split (the papers' definition)",
        speedup_markdown(speedup),
        "reached: seeds that got there; the other columns are means over those seeds only, so read "
        "them together with it. active: share of steps on which the rule acted and not its GRPO "
        "fallback. –: never reached, or no gate.",
    ]
    if len(results.unfinished):
        parts += ["## Failed and missing cells", results.unfinished.pipe(markdown_table)]
    return "\n\n".join(parts) + "\n"


def _pivot(table: pd.DataFrame, value: str, signed: bool) -> str:
    """One row per model and label, one column per benchmark."""
    if table.empty:
        return "(nothing finished yet)"
    sign = "+" if signed else ""

    def cell(row: pd.Series) -> str:
        mean = f"{100 * row[value]:{sign}.1f}"
        if math.isnan(row["ci_low"]):
            return f"{mean} (n=1, no interval)"
        return f"{mean} [{100 * row['ci_low']:{sign}.1f}, {100 * row['ci_high']:{sign}.1f}]"

    benchmarks = list(dict.fromkeys(table["benchmark"]))
    benchmarks.sort(key=lambda name: name == AVERAGE)
    shown = table.assign(shown=table.apply(cell, axis=1))
    wide = shown.pivot(index=["model", "label", "n_seeds"], columns="benchmark", values="shown")
    order = table[["model", "label", "n_seeds"]].drop_duplicates()
    return markdown_table(order.merge(wide[benchmarks].reset_index(), how="left"))


def speedup_markdown(speedup: pd.DataFrame) -> str:
    """The speedup table in words a reader takes in: 'reached 2 of 3', '1.33x'."""
    shown = pd.DataFrame(
        {
            "model": speedup["model"],
            "label": speedup["label"],
            "reached": [
                f"{r} of {n}" for r, n in zip(speedup["n_reached"], speedup["n_seeds"], strict=True)
            ],
            "steps": _format(speedup["steps"], ".1f"),
            "seconds": _format(speedup["seconds"], ".1f"),
            "backward passes": _format(speedup["backward_passes"], ".1f"),
            "step speedup": _format(speedup["step_speedup"], ".2f", "x"),
            "wall-clock speedup": _format(speedup["wall_clock_speedup"], ".2f", "x"),
            "backward-pass speedup": _format(speedup["backward_pass_speedup"], ".2f", "x"),
            "active": _format(100 * speedup["active_fraction"], ".0f", " %"),
        }
    )
    return markdown_table(shown) if len(shown) else "(nothing finished yet)"


def _format(values: pd.Series, spec: str, unit: str = "") -> list[str]:
    return ["–" if math.isnan(v) else f"{v:{spec}}{unit}" for v in values.astype(float)]


def markdown_table(table: pd.DataFrame) -> str:
    """A Markdown table whose columns line up in a terminal too."""
    return table.to_markdown(index=False, disable_numparse=True)
