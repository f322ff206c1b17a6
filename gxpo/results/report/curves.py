"""The numbers behind the page's learning curves, as few and as short as their drawing needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gxpo.results.curves import curves
from gxpo.results.palette import styles
from gxpo.results.read import AVERAGE, COSTS, SELECTION, Results
from gxpo.results.tables.table import NOTHING, number
from gxpo.statistics import seed_band

LONGEST = 200  # checkpoints of a line: more than a screen has room for
BYTES = 6  # of a number and its comma, about
SCALE = 10_000  # scores are whole numbers of these: 61.23 % is 6123
RUN = ["model", "label", "seed"]


def curve_data(results: Results, budget: int) -> dict[str, Any]:
    """What the page draws, as JSON allows it; ``budget``: bytes that it may take, roughly.

    labels: name, colour, dashes (line widths), marker of every method label.
    costs: column -> unit. benchmarks: key -> title. models: names.
    every: which of the evaluated checkpoints are in here (2: every other).
    runs: model -> label -> seeds, costs, scores. ``costs[c]`` holds the mean over seeds per
    checkpoint and ``runs``, a line for every seed (None where all are equal). ``scores[benchmark]``
    holds mean, low, high (95 % t interval over seeds, pointwise; None with one seed) and runs, in
    units of 1 / SCALE, None at checkpoints at which not all seeds were evaluated; shown: mean, low
    and high as they are written, in tenths of a percent.
    """
    look = styles(results.config["methods"])
    page: dict[str, Any] = {
        "labels": [{"name": name, **style._asdict()} for name, style in look.items()],
        "costs": COSTS,
        "benchmarks": _titles(results),
        "models": list(results.config["models"]),
        "every": 1,
        "runs": {},
    }
    if results.scores.empty:
        return page
    scores, costs = _score_lines(results.scores), _cost_lines(results.scores)
    means = 6 * _runs(scores) + _runs(costs)  # with low and high, drawn and written
    keep = _kept(scores.shape[1], len(scores) + len(costs) + means, budget)
    page["every"] = round(scores.shape[1] / len(keep), 1)
    scores, costs = scores.iloc[:, keep], costs.iloc[:, keep]
    for (model, label), lines in costs.groupby(level=["model", "label"], sort=False):
        seeds = lines.index.get_level_values("seed").unique().tolist()
        page["runs"].setdefault(model, {})[label] = {
            "seeds": seeds,
            "costs": {cost: _cost(block) for cost, block in _blocks(lines, seeds)},
            "scores": {},
        }
    for (model, label), lines in scores.groupby(level=["model", "label"], sort=False):
        run = page["runs"][model][label]
        blocks = _blocks(lines, run["seeds"])
        run["scores"] = {benchmark: _score(block) for benchmark, block in blocks}
    return page


def _titles(results: Results) -> dict[str, str]:
    names = list(results.config["evaluate"]["benchmarks"])
    return {name: name for name in (AVERAGE, *names)} | {SELECTION: "selection split"}


def _score_lines(scores: pd.DataFrame) -> pd.DataFrame:
    """A row for every model, label, seed and benchmark, a column for every step."""
    keys = [*RUN, "benchmark", "step"]
    single = scores.loc[scores["benchmark"] != AVERAGE, [*keys, "pass_at_1"]]
    whole = curves(scores).assign(benchmark=AVERAGE)[[*keys, "pass_at_1"]]
    return _wide(pd.concat([whole, single]), "benchmark", "pass_at_1")


def _cost_lines(scores: pd.DataFrame) -> pd.DataFrame:
    """A row for every model, label, seed and cost, a column for every step."""
    runs = scores.drop_duplicates([*RUN, "step"])[[*RUN, *COSTS]]
    runs = runs.assign(at=runs["step"])
    long = runs.melt([*RUN, "at"], list(COSTS), "cost", "value").rename(columns={"at": "step"})
    return _wide(long, "cost", "value")


def _wide(long: pd.DataFrame, kind: str, value: str) -> pd.DataFrame:
    return long.pivot(index=[*RUN, kind], columns="step", values=value).sort_index(axis="columns")


def _runs(lines: pd.DataFrame) -> int:
    """The lines without their seeds: every one of them has a mean."""
    return len(lines.index.droplevel("seed").unique())


def _kept(checkpoints: int, lines: int, budget: int) -> np.ndarray:
    """Positions of the checkpoints that are kept: evenly spread, the first and the last always."""
    most = max(2, min(LONGEST, checkpoints, budget // (BYTES * lines)))
    return np.unique(np.linspace(0, checkpoints - 1, most).round().astype(int))


def _blocks(lines: pd.DataFrame, seeds: list[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Benchmark or cost -> (seeds, checkpoints)."""
    for name, block in lines.groupby(level=3, sort=False):
        yield str(name), block.droplevel(["model", "label", 3]).reindex(seeds).to_numpy(float)


def _cost(block: np.ndarray) -> dict[str, Any]:
    same = bool((block == block[0]).all())
    mean = _short(block.mean(axis=0))
    return {"mean": mean, "runs": None if same else [_short(line) for line in block]}


def _score(block: np.ndarray) -> dict[str, Any]:
    mean, low, high = (_whole(line) for line in seed_band(block))
    runs = [_whole(line) for line in block]
    shown = [_tenths(line) for line in seed_band(block)]
    return {"mean": mean, "low": low, "high": high, "runs": runs, "shown": shown}


def _tenths(values: np.ndarray) -> list[int | None]:
    """Tenths of a percent as the tables round them: of the rounded values that are drawn, another
    number could come."""
    texts = [number(100 * value, ".1f") for value in values.tolist()]
    return [None if text == NOTHING else round(10 * float(text)) for text in texts]


def _whole(values: np.ndarray) -> list[int | None]:
    return [None if math.isnan(v) else round(SCALE * v) for v in values.tolist()]


def _short(values: np.ndarray) -> list[float | None]:
    """Four digits, or all before the point."""
    return [None if math.isnan(v) else _rounded(v) for v in values.tolist()]


def _rounded(value: float) -> float:
    return round(value) if value >= 1000 or value == int(value) else float(f"{value:.4g}")
