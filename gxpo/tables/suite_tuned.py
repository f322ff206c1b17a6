"""GRPO given what the rival has: the same tuning, the same compute, the same reach."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from gxpo.results import AVERAGE, Results
from gxpo.statistics import Estimate, seed_interval
from gxpo.tables.table import Table, with_interval

TUNED, EQUAL, PLACEBO = "tuned", "equal compute", "placebo"
PLACEBO_KEYS = ("scale", "constant_scale")
HOLES = {
    TUNED: "no method has labels that differ in learning_rate alone, or the baseline has none",
    EQUAL: "no rival has a checkpoint within the baseline's backward passes",
    PLACEBO: "no gxpo label has a twin whose scale is constant or running_mean",
}


class _Runs:
    """One model's runs.

    labels: label -> method, learning_rate and hyperparameters, finished or not.
    curves: label -> average pass@1 of the trained checkpoints that have been asked everything.
    at_chosen: label -> average pass@1 by seed at the chosen checkpoint.
    selected: label -> mean selection score there; no entry where nothing ran.
    """

    def __init__(self, results: Results, model: str):
        cells, scores, chosen = (
            frame[frame["model"] == model]
            for frame in (results.cells, results.scores, results.chosen_scores)
        )
        about = cells.drop_duplicates("label").set_index("label")
        self.baseline = results.baseline
        self.labels: dict[str, dict[str, Any]] = about[
            ["method", "learning_rate", "hyperparameters"]
        ].to_dict("index")
        trained = scores[(scores["benchmark"] == AVERAGE) & (scores["step"] > 0)]
        self.curves = dict(list(trained.groupby("label")))
        average = chosen[chosen["benchmark"] == AVERAGE].set_index("seed")
        self.at_chosen = dict(list(average.groupby("label")["pass_at_1"]))
        means = results.selection_means
        self.selected = {label: mean for (name, label), mean in means.items() if name == model}


def tuned(results: Results) -> Table:
    """Differences in average pass@1, paired by seed, of three comparisons.

    tuned: labels of equal method and hyperparameters are rates of one sweep; each sweep's best is
    chosen by mean selection pass@1 at the chosen checkpoint, and compared there with the best of
    the baseline's sweep. equal compute: both at their last checkpoint within the smaller of the
    two runs' total backward passes. placebo: gxpo minus its twin with the retention formula
    replaced, at the chosen checkpoint. A comparison that the configuration does not allow is a
    row of its own that says so.
    """
    columns = ["model", "comparison", "label", "against", "detail", "n_seeds"]
    rows: list[tuple] = []
    for model in results.config["models"] if len(results.scores) else ():
        runs = _Runs(results, model)
        for name, made in ((TUNED, _sweeps), (EQUAL, _equal_compute), (PLACEBO, _placebos)):
            found = list(made(runs))
            hole = ("", "", f"missing: {HOLES[name]}", 0, *Estimate(math.nan, math.nan, math.nan))
            rows += [(model, name, *row) for row in found or [hole]]
    frame = pd.DataFrame(rows, columns=[*columns, "difference", "ci_low", "ci_high"])
    texts = [
        with_interval(mean, low, high, "+.1f", 100)
        for mean, low, high in zip(
            frame["difference"], frame["ci_low"], frame["ci_high"], strict=True
        )
    ]
    return Table(
        name="suite_tuned",
        title="Differences to baselines of equal tuning and equal compute, and to the placebo",
        frame=frame,
        shown=frame[columns].astype(str).assign(difference=texts),
        notes=[
            "Average pass@1 of label minus that of against, percentage points, paired by seed, "
            "95 % t interval over seeds. tuned: each method at the learning rate with the best "
            "mean selection pass@1; benchmarks took no part in that choice. equal compute: both at "
            "their last checkpoint within the same number of backward passes."
        ],
    )


def _sweeps(runs: _Runs) -> Iterator[tuple]:
    families: dict[str, list[str]] = {}
    for name, spec in runs.labels.items():
        families.setdefault(_family(spec), []).append(name)
    sweeps = [f for f in families.values() if len(set(_rates(runs, f))) > 1]
    baselines = [f for f in sweeps if runs.baseline in f]
    if not baselines:
        return
    (baseline,) = baselines
    against = _best(runs, baseline)
    for family in sweeps:
        label = _best(runs, family)
        if family is baseline or label is None or against is None:
            continue
        tried, allowed = len(family), len(baseline)
        listed = ", ".join(f"{rate:g}" for rate in sorted(_rates(runs, family)))
        detail = f"rate {runs.labels[label]['learning_rate']:g} of {listed}"
        if tried != allowed:
            detail += f"; unequal tuning: {tried} rates against {allowed}"
        sweeps_best = ((label, family), (against, baseline))
        if edge := [name for name, sweep in sweeps_best if _at_edge(runs, name, sweep)]:
            detail += f"; at the edge of its sweep, a better rate may lie beyond: {', '.join(edge)}"
        compared = _compare(runs.at_chosen[label], runs.at_chosen[against])
        yield from ((label, against, detail, *row) for row in compared)


def _equal_compute(runs: _Runs) -> Iterator[tuple]:
    other = runs.curves.get(str(runs.baseline))
    if other is None:
        return
    for label, spec in runs.labels.items():
        own = runs.curves.get(label)
        if spec["method"] == "grpo" or own is None:
            continue
        ends = [run.groupby("seed")["backward_passes"].max() for run in (own, other)]
        budget = pd.concat(ends, axis="columns", join="inner").min(axis="columns")
        compared = _compare(_within(own, budget), _within(other, budget))
        detail = f"at {budget.mean():.0f} backward passes"
        yield from ((label, runs.baseline, detail, *row) for row in compared)


def _placebos(runs: _Runs) -> Iterator[tuple]:
    scaled = {k: v for k, v in runs.labels.items() if "scale" in v["hyperparameters"]}
    genuine = {k for k, v in scaled.items() if v["hyperparameters"]["scale"] == "retention"}
    names = {k: (v["learning_rate"], _family(v, PLACEBO_KEYS)) for k, v in scaled.items()}
    for label in (k for k in scaled if k in genuine & set(runs.at_chosen)):
        for twin, other in scaled.items():
            if twin in genuine or names[twin] != names[label] or twin not in runs.at_chosen:
                continue
            compared = _compare(runs.at_chosen[label], runs.at_chosen[twin])
            detail = f"scale {other['hyperparameters']['scale']}"
            yield from ((label, twin, detail, *row) for row in compared)


def _family(spec: dict[str, Any], without: tuple[str, ...] = ()) -> str:
    """What labels have in common that are one rule at several learning rates."""
    kept = {k: v for k, v in spec["hyperparameters"].items() if k not in without}
    return json.dumps([spec["method"], kept], sort_keys=True, default=str)


def _rates(runs: _Runs, family: list[str]) -> list[float]:
    return [runs.labels[label]["learning_rate"] for label in family]


def _at_edge(runs: _Runs, label: str, family: list[str]) -> bool:
    rates = _rates(runs, family)
    return runs.labels[label]["learning_rate"] in (min(rates), max(rates))


def _best(runs: _Runs, family: list[str]) -> str | None:
    """The label with the best mean selection score; the earlier of equals; None if none ran."""
    ran = [label for label in family if label in runs.selected]
    return max(ran, key=lambda label: runs.selected[label]) if ran else None


def _within(runs: pd.DataFrame, budget: pd.Series) -> pd.Series:
    """pass@1 by seed at the last checkpoint that cost at most the seed's budget; no interpolation:
    between checkpoints nothing was measured."""
    inside = runs[runs["backward_passes"] <= runs["seed"].map(budget)]
    return inside.sort_values("step").groupby("seed")["pass_at_1"].last()


def _compare(own: pd.Series, other: pd.Series) -> Iterator[tuple]:
    """(seeds, mean, low, high) of the paired difference; nothing where no seed has both."""
    paired = (own - other).dropna()
    if len(paired):
        yield (len(paired), *seed_interval(list(paired)))
