"""GRPO given what the rival has: the same tuning, the same compute, the same reach."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from gxpo.results import AVERAGE, SELECTION, Results
from gxpo.statistics import Estimate, seed_interval
from gxpo.tables.table import Table, with_interval

TUNED, EQUAL, PLACEBO = "tuned", "equal compute", "placebo"
PLACEBO_KEYS = ("scale", "constant_scale")
HOLES = {
    TUNED: "no method has labels that differ in learning_rate alone, or the baseline has none",
    EQUAL: "no rival has a checkpoint within the baseline's backward passes",
    PLACEBO: "no gxpo label has a twin whose scale is constant or running_mean",
}


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
        for name, made in ((TUNED, _sweeps), (EQUAL, _equal_compute), (PLACEBO, _placebos)):
            found = list(made(results, model))
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


def _sweeps(results: Results, model: str) -> Iterator[tuple]:
    families: dict[str, list[str]] = {}
    for name, spec in _labels(results, model).items():
        families.setdefault(_family(spec), []).append(name)
    sweeps = [f for f in families.values() if len(set(_rates(results, model, f))) > 1]
    baselines = [f for f in sweeps if results.baseline in f]
    if not baselines:
        return
    best = {id(family): _best(results, model, family) for family in sweeps}
    (baseline,) = baselines
    against = best[id(baseline)]
    for family in sweeps:
        label = best[id(family)]
        if family is baseline or label is None or against is None:
            continue
        tried, allowed = len(family), len(baseline)
        detail = f"rate {_rate(results, model, label)} of {_listed(results, model, family)}"
        if tried != allowed:
            detail += f"; unequal tuning: {tried} rates against {allowed}"
        sweeps_best = ((label, family), (against, baseline))
        if edge := [name for name, sweep in sweeps_best if _at_edge(results, model, name, sweep)]:
            detail += f"; at the edge of its sweep, a better rate may lie beyond: {', '.join(edge)}"
        compared = _compare(_at_chosen(results, model, label), _at_chosen(results, model, against))
        yield from ((label, against, detail, *row) for row in compared)


def _equal_compute(results: Results, model: str) -> Iterator[tuple]:
    baseline = results.baseline
    for label, spec in _labels(results, model).items():
        if spec["method"] == "grpo" or baseline is None:
            continue
        own, other = _curves(results, model, label), _curves(results, model, baseline)
        ends = [run.groupby("seed")["backward_passes"].max() for run in (own, other)]
        budget = pd.concat(ends, axis="columns", join="inner").min(axis="columns")
        compared = _compare(_within(own, budget), _within(other, budget))
        detail = f"at {budget.mean():.0f} backward passes"
        yield from ((label, baseline, detail, *row) for row in compared)


def _placebos(results: Results, model: str) -> Iterator[tuple]:
    labels = _labels(results, model)
    genuine = {k: v for k, v in labels.items() if v["hyperparameters"].get("scale") == "retention"}
    for label, spec in genuine.items():
        for twin, other in labels.items():
            if twin in genuine or "scale" not in other["hyperparameters"]:
                continue
            same_rate = spec["learning_rate"] == other["learning_rate"]
            if same_rate and _family(spec, PLACEBO_KEYS) == _family(other, PLACEBO_KEYS):
                ours = _at_chosen(results, model, label)
                compared = _compare(ours, _at_chosen(results, model, twin))
                detail = f"scale {other['hyperparameters']['scale']}"
                yield from ((label, twin, detail, *row) for row in compared)


def _labels(results: Results, model: str) -> dict[str, dict[str, Any]]:
    """label -> method, learning_rate and hyperparameters, finished or not."""
    first = results.cells[results.cells["model"] == model].drop_duplicates("label")
    return first.set_index("label")[["method", "learning_rate", "hyperparameters"]].to_dict("index")


def _family(spec: dict[str, Any], without: tuple[str, ...] = ()) -> str:
    """What labels have in common that are one rule at several learning rates."""
    kept = {k: v for k, v in spec["hyperparameters"].items() if k not in without}
    return json.dumps([spec["method"], kept], sort_keys=True, default=str)


def _rate(results: Results, model: str, label: str) -> str:
    return f"{_labels(results, model)[label]['learning_rate']:g}"


def _rates(results: Results, model: str, family: list[str]) -> list[float]:
    labels = _labels(results, model)
    return [labels[label]["learning_rate"] for label in family]


def _at_edge(results: Results, model: str, label: str, family: list[str]) -> bool:
    rates = _rates(results, model, family)
    return _labels(results, model)[label]["learning_rate"] in (min(rates), max(rates))


def _listed(results: Results, model: str, family: list[str]) -> str:
    return ", ".join(f"{rate:g}" for rate in sorted(_rates(results, model, family)))


def _best(results: Results, model: str, family: list[str]) -> str | None:
    """The label with the best mean selection score; the earlier of equals; None if none ran."""
    chosen = results.chosen_scores
    of_model = chosen[(chosen["model"] == model) & (chosen["benchmark"] == SELECTION)]
    means = of_model.groupby("label")["pass_at_1"].mean()
    ran = [label for label in family if label in means.index]
    return max(ran, key=lambda label: means[label]) if ran else None


def _at_chosen(results: Results, model: str, label: str) -> pd.Series:
    """Average pass@1 by seed at the chosen checkpoint."""
    rows = results.chosen_scores
    rows = rows[(rows["model"] == model) & (rows["label"] == label)]
    return rows[rows["benchmark"] == AVERAGE].set_index("seed")["pass_at_1"]


def _curves(results: Results, model: str, label: str) -> pd.DataFrame:
    """Average pass@1 of the trained checkpoints that were evaluated on all benchmarks."""
    rows = results.scores
    rows = rows[(rows["model"] == model) & (rows["label"] == label) & (rows["step"] > 0)]
    return rows[rows["benchmark"] == AVERAGE]


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
