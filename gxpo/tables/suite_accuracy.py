"""pass@1 of what a user would deploy: the last checkpoint, and the one that selection chooses."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from gxpo.results import AVERAGE, GROUP, SELECTION, Results
from gxpo.statistics import seed_interval
from gxpo.tables.table import Table, with_interval


def accuracy(results: Results) -> Table:
    """Mean over seeds and 95 % t interval over seeds."""
    columns = [*GROUP, "benchmark", "n_seeds", "pass_at_1", "ci_low", "ci_high"]
    rows = [
        (*key, benchmark, len(values), *seed_interval(list(values)))
        for key, benchmark, values in _reported(results)
    ]
    frame = pd.DataFrame(rows, columns=columns)
    return Table(
        name="suite_accuracy",
        title="pass@1 at the last checkpoint",
        frame=frame,
        shown=_one_column_per_benchmark(frame, "pass_at_1", ".1f"),
        notes=["Percent; mean over training seeds and 95 % t interval over seeds."],
    )


def differences(results: Results) -> Table:
    """The same minus the baseline's, paired by seed (of the seeds that both finished)."""
    columns = [*GROUP, "benchmark", "n_seeds", "difference", "ci_low", "ci_high"]
    reported = {(*key, benchmark): values for key, benchmark, values in _reported(results)}
    baselines = {(k[0], k[3]): v for k, v in reported.items() if k[1] == results.baseline}
    rows = []
    for key, values in reported.items():
        baseline = baselines.get((key[0], key[3]))
        if baseline is None or key[1] == results.baseline:
            continue
        paired = (values - baseline).dropna()
        if len(paired):
            rows.append((*key, len(paired), *seed_interval(list(paired))))
    frame = pd.DataFrame(rows, columns=columns)
    return Table(
        name="suite_differences",
        title=f"pass@1 minus that of {results.baseline or 'the baseline'}, last checkpoint",
        frame=frame,
        shown=_one_column_per_benchmark(frame, "difference", "+.1f"),
        notes=["Percentage points, paired by seed, 95 % t interval over seeds."],
    )


def _reported(results: Results) -> Iterator[tuple[tuple[str, ...], str, pd.Series]]:
    """(model, label, method), benchmark and pass@1 per seed, at each cell's last step."""
    scores = results.last_scores
    if scores.empty:
        return
    scores = scores[scores["benchmark"] != SELECTION]
    for key, group in scores.groupby([*GROUP, "benchmark"], sort=False):
        yield key[:3], key[3], group.set_index("seed")["pass_at_1"]


def _one_column_per_benchmark(frame: pd.DataFrame, value: str, spec: str) -> pd.DataFrame:
    """One row per model and label; the average comes last."""
    keys = ["model", "label", "n_seeds"]
    if frame.empty:
        return pd.DataFrame(columns=keys)
    benchmarks = sorted(frame["benchmark"].unique(), key=lambda name: name == AVERAGE)
    texts = [
        with_interval(mean, low, high, spec, 100)
        for mean, low, high in zip(frame[value], frame["ci_low"], frame["ci_high"], strict=True)
    ]
    wide = frame.assign(text=texts).pivot(index=keys, columns="benchmark", values="text")
    order = frame[keys].drop_duplicates()
    return order.merge(wide[benchmarks].reset_index(), how="left").astype(str)
