"""What the head-to-head shows, in sentences; undecided is said where it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from gxpo.results.read import AVERAGE, Results
from gxpo.results.tables.suite_targets import censoring
from gxpo.results.tables.table import Table

HIGHER, LOWER, UNDECIDED, ONE_SEED = "higher", "lower", "undecided", "one seed"
SHARE = 0.8  # of the baseline's gain: the target that is named beside the scores


class Finding(NamedTuple):
    """A label against the baseline: one of the four verdicts above, and the words."""

    label: str
    verdict: str
    text: str


class ModelSummary(NamedTuple):
    """sentence: the count of verdicts. tiny: made by the suite, no real model."""

    model: str
    sentence: str
    findings: list[Finding]
    tiny: bool


def summaries(results: Results, tables: Sequence[Table]) -> list[ModelSummary]:
    """One for every model of the configuration."""
    frames = {table.name: table.frame for table in tables}
    differences, targets = frames["suite_differences"], frames["suite_targets"]
    return [
        _summary(results, model, _of(differences, model), _of(targets, model))
        for model in results.config["models"]
    ]


def _of(frame: pd.DataFrame, model: str) -> pd.DataFrame:
    return frame[frame["model"] == model]


def _summary(
    results: Results, model: str, differences: pd.DataFrame, targets: pd.DataFrame
) -> ModelSummary:
    last = differences[
        (differences["benchmark"] == AVERAGE) & (differences["checkpoint"] == "last")
    ]
    baseline = results.baseline
    costs = targets[(targets["share"] == SHARE) & (targets["label"] != baseline)]
    found = [_finding(row, costs, baseline) for row in last.to_dict("records")]
    unfinished = int((results.unfinished["model"] == model).sum())
    total = int((results.cells["model"] == model).sum())
    sentence = _sentence(results, found)
    if unfinished:
        sentence += f" Not in it: {unfinished} of {total} cells, not finished or not comparable."
    return ModelSummary(model, sentence, found, "architecture" in results.config["models"][model])


def _sentence(results: Results, found: list[Finding]) -> str:
    if results.baseline is None:
        return "No label of this configuration runs grpo: there is nothing to compare with."
    if not found:
        return f"No label has finished a seed that {results.baseline} has finished too: no result."
    counts = Counter(finding.verdict for finding in found)
    verdicts = ", ".join(f"{counts[name]} {name}" for name in (HIGHER, LOWER, UNDECIDED))
    single = f", {counts[ONE_SEED]} with one seed and so without interval"
    return (
        f"Of {len(found)} {'label' if len(found) == 1 else 'labels'} compared with "
        f"{results.baseline} by sampled pass@1 at the last checkpoint: {verdicts}"
        f"{single if counts[ONE_SEED] else ''}."
    )


def _finding(row: Mapping[str, Any], targets: pd.DataFrame, baseline: str | None) -> Finding:
    verdict = _verdict(row["ci_low"], row["ci_high"])
    seeds = "1 seed" if row["n_seeds"] == 1 else f"{row['n_seeds']} seeds"
    interval = f" [{100 * row['ci_low']:+.1f}, {100 * row['ci_high']:+.1f}]"
    points = f"{100 * row['difference']:+.1f} points{'' if verdict == ONE_SEED else interval}"
    own = targets[targets["label"] == row["label"]].set_index("cost")
    return Finding(row["label"], verdict, f"{points}, {seeds}. {_target(own, baseline)}".strip())


def _target(costs: pd.DataFrame, baseline: str | None) -> str:
    """How many seeds reached the target, and what that cost against the baseline."""
    if costs.empty or costs["target"].isna().all():
        return ""
    first = costs.iloc[0]
    reached = (
        f"{first['n_reached']} of {first['n_seeds']} seeds reached {100 * SHARE:.0f}\u00a0% of "
        f"{baseline}'s gain"
    )
    ratios = [
        f"{_ratio(costs.loc[cost])} in {unit}"
        for cost, unit in (("step", "steps"), ("backward_passes", "backward passes"))
        if not math.isnan(costs.loc[cost, "ratio"])
    ]
    return f"{reached}; cost ratio {', '.join(ratios)}." if ratios else f"{reached}."


def _ratio(row: Mapping[str, Any]) -> str:
    own_missed, baseline_missed = censoring(row)
    if own_missed and baseline_missed:
        return "not bounded (both missed it in a seed)"
    bound = "≤ " if own_missed else "≥ " if baseline_missed else ""
    interval = "" if math.isnan(row["ci_low"]) else f" [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return f"{bound}{row['ratio']:.2f}{interval}"


def _verdict(low: float, high: float) -> str:
    if math.isnan(low):
        return ONE_SEED
    return HIGHER if low > 0 else LOWER if high < 0 else UNDECIDED
