"""Finished cells read back as data frames: what tables, figures and the report are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from gxpo.catalog import accepted_hyperparameters, method_class
from gxpo.cells import METRICS, Cell, read_rows, read_run
from gxpo.cells.scores import read_scores
from gxpo.cells.status import status
from gxpo.config import cells

BASELINE_METHOD = "grpo"
AVERAGE = "average"
SELECTION = "selection"
GROUP = ["model", "label", "method"]
COSTS = {
    "step": "steps",
    "train_seconds": "seconds",
    "backward_passes": "backward passes",
    "tokens": "tokens",
}
"""What reaching a checkpoint cost. Seconds: the harness's clock, without evaluation and
checkpointing. Tokens: generated for rollouts, and through forward and backward passes."""


@dataclass(frozen=True)
class Results:
    """The finished cells of a configuration, in its order of models, labels and seeds.

    config: the completed configuration.
    scores: model, label, method, seed, the columns of ``scores.csv`` and ``COSTS``; ``average`` is
        the mean over the reported benchmarks, at the checkpoints evaluated on all of them.
    steps: model, label, method, seed and the columns of ``metrics.jsonl``.
    cells: a row for every cell, finished or not: model, label, method, seed, state (finished,
        failed, missing), reason, learning_rate, hyperparameters (a dict, with the method's
        defaults), run (``run.json`` as a dict; empty where it is missing or of other settings).
    baseline: the label that others are compared with (the first whose method is grpo), if any.
    """

    config: dict[str, Any]
    scores: pd.DataFrame
    steps: pd.DataFrame
    cells: pd.DataFrame
    baseline: str | None

    @property
    def unfinished(self) -> pd.DataFrame:
        """model, label, seed, state and reason of all cells that have not finished."""
        rest = self.cells[self.cells["state"] != "finished"]
        return rest[["model", "label", "seed", "state", "reason"]].reset_index(drop=True)

    @cached_property
    def last_scores(self) -> pd.DataFrame:
        """``scores`` at each cell's last checkpoint."""
        if self.scores.empty:
            return self.scores
        last = self.scores.groupby([*GROUP, "seed"])["step"].transform("max")
        return self.scores[self.scores["step"] == last]

    @cached_property
    def chosen_scores(self) -> pd.DataFrame:
        """``scores`` at each cell's trained checkpoint with the highest pass@1 on the selection
        split (the earliest of equals); its benchmark samples took no part in the choice."""
        if self.scores.empty:
            return self.scores
        selection = self.scores["benchmark"] == SELECTION
        judged = self.scores[selection & (self.scores["step"] > 0)]
        keys = [*GROUP, "seed"]
        best = judged.loc[judged.groupby(keys)["pass_at_1"].idxmax(), [*keys, "step"]]
        return self.scores.merge(best, on=[*keys, "step"])

    @cached_property
    def selection_means(self) -> dict[tuple[str, str], float]:
        """(model, label) -> mean over seeds of pass@1 on the selection split at the chosen
        checkpoints: what learning rates and settings are chosen by. Without labels that lack a
        seed: where those that went well are all that finished, the mean flatters."""
        if self.scores.empty:
            return {}
        chosen = self.chosen_scores
        judged = chosen[chosen["benchmark"] == SELECTION]
        means = judged.groupby(["model", "label"])["pass_at_1"].mean().to_dict()
        lacking = set(self.unfinished[["model", "label"]].itertuples(index=False, name=None))
        return {key: mean for key, mean in means.items() if key not in lacking}


def read_results(config: dict[str, Any]) -> Results:
    """Read what has finished so far; cells that have not are listed, never dropped."""
    scores, steps, about = {}, {}, []
    defaults = {label: _defaults(spec["method"]) for label, spec in config["methods"].items()}
    for number, cell in enumerate(cells(config)):
        state, reason = status(cell)
        about.append(_about(cell, state, reason, defaults[cell.label]))
        if state == "finished":
            steps[number] = pd.DataFrame(read_rows(cell.folder / METRICS))
            scores[number] = read_scores(cell)
    of_cells = pd.DataFrame(about)
    rows, points = _stack(steps), _stack(scores)
    if steps:
        rows["tokens"] = rows[["rollout_tokens", "forward_tokens", "backward_tokens"]].sum(axis=1)
        points = _with_costs(_with_average(points), rows)
    baselines = [k for k, v in config["methods"].items() if v["method"] == BASELINE_METHOD]
    return Results(
        config=config,
        scores=_tag(points, of_cells),
        steps=_tag(rows, of_cells),
        cells=of_cells,
        baseline=baselines[0] if baselines else None,
    )


def _about(cell: Cell, state: str, reason: str, defaults: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": cell.model,
        "label": cell.label,
        "method": cell.method,
        "seed": cell.seed,
        "state": state,
        "reason": reason,
        "learning_rate": cell.train["learning_rate"],
        "hyperparameters": defaults | cell.hyperparameters,
        "run": read_run(cell),
    }


def _defaults(method: str) -> dict[str, Any]:
    accepted = accepted_hyperparameters(method_class(method))
    return {name: parameter.default for name, parameter in accepted.items()}


# Below, the column "cell" numbers the cells: one merge for all takes far less than one each.


def _stack(frames: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """All rows, all columns, and ``cell``; columns that are empty in one frame do not decide their
    type."""
    if not frames:
        return pd.DataFrame()
    columns = dict.fromkeys(name for frame in frames.values() for name in frame)
    filled = {number: f.dropna(axis="columns", how="all") for number, f in frames.items()}
    stacked = pd.concat(filled, names=["cell", None]).reset_index(level="cell")
    return stacked.reset_index(drop=True).reindex(columns=["cell", *columns])


def _with_average(scores: pd.DataFrame) -> pd.DataFrame:
    """With the rows of the mean over a cell's reported benchmarks, of the checkpoints that were
    evaluated on all of them (not where some wait for the last)."""
    reported = scores[scores["benchmark"] != SELECTION]
    asked = reported.groupby("cell")["benchmark"].transform("nunique")
    answered = reported.groupby(["cell", "step"])["benchmark"].transform("nunique")
    groups = reported[answered == asked].groupby(["cell", "step"], as_index=False)
    average = groups[["pass_at_1", "pass_at_n"]].mean().assign(benchmark=AVERAGE)
    both = pd.concat([scores, average], ignore_index=True)
    return both.sort_values("cell", kind="stable", ignore_index=True)


def _with_costs(scores: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    start = pd.DataFrame({"cell": rows["cell"].unique()}).assign(**dict.fromkeys(COSTS, 0))
    costs = pd.concat([start, rows[["cell", *COSTS]]], ignore_index=True)
    return scores.merge(costs, on=["cell", "step"], how="left")


def _tag(frame: pd.DataFrame, of_cells: pd.DataFrame) -> pd.DataFrame:
    """Model, label, method and seed in place of the cell's number."""
    if frame.empty:
        return frame
    tagged = frame.join(of_cells[[*GROUP, "seed"]], on="cell")
    return tagged.drop(columns="cell")
