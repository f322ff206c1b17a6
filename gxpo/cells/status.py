"""How far a cell has come, judged by its files and its settings."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gxpo.cells.cell import LATER_KEYS, NO_NUMBER, Cell, due_labels, evaluation_sets
from gxpo.cells.files import EVALUATION, FAILURE, RUN, SCORES
from gxpo.cells.lock import killed_worker
from gxpo.host import NotTrained, redacted


def status(cell: Cell) -> tuple[str, str]:
    """(state, reason): finished, failed (why), or missing (what has not run yet)."""
    folder = cell.folder
    if (folder / FAILURE).exists():
        failure = json.loads((folder / FAILURE).read_text(encoding="utf-8"))
        return "failed", f"{failure['stage']}: {failure['reason']}"
    run = read_run(cell)
    if run and _is_evaluated(cell, run["checkpoints"]):
        return "finished", ""
    reason, file = ("not evaluated", SCORES) if run else ("not trained", RUN)
    if (folder / file).exists():
        reason += f" with these settings ({file} is of others)"
    killed = killed_worker(folder)
    return "missing", f"{reason}: {killed} was killed, or its node went down" if killed else reason


def read_run(cell: Cell) -> dict[str, Any]:
    """``run.json``; empty where the cell has not been trained, or with other settings than the
    configuration has now. What is evaluated may have changed: that trains nothing anew."""
    run = _read(cell.folder / RUN)
    return run if _same(_training(run.get("cell", {})), _training(asdict(cell))) else {}


def trained_run(cell: Cell) -> dict[str, Any]:
    """``run.json``. Raises NotTrained where the cell has not been trained with its settings."""
    run = read_run(cell)
    if not run:
        raise NotTrained(f"cell {cell.folder} has not been trained with these settings: gxpo train")
    return run


def _training(settings: dict[str, Any]) -> Any:
    """A cell's settings without those of the evaluation, and without those that decide nothing."""
    train = {k: v for k, v in settings.get("train", {}).items() if k not in NO_NUMBER}
    return settings | {"evaluate": settings.get("evaluate", {}).get("every"), "train": train}


def evaluation_settings(cell: Cell) -> dict[str, Any]:
    """What the scores of a checkpoint depend on, as ``evaluation.json`` has it. ``batch_size`` is
    not among it: every sample has its own random stream."""
    spec, settings = cell.model_spec, cell.evaluate
    return {
        "max_completion_length": settings["max_completion_length"],
        "backend": settings["backend"],
        **{key: cell.setting("evaluate", key) for key in LATER_KEYS["evaluate"]},
        "lora": settings["lora"] if "lora" in spec else None,
        "prompt": {key: spec.get(key) for key in ("prompt", "system", "chat", "dtype")},
        "sets": {
            label: {key: problems.get(key) for key in ("problems", "limit", "samples", "template")}
            for label, problems in evaluation_sets(cell.evaluate).items()
        },
    }


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _same(recorded: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether a record is of these settings: in JSON's types, perhaps redacted by write_json."""
    recorded, asked = json.loads(json.dumps(recorded)), json.loads(json.dumps(asked))
    return recorded == asked or recorded == redacted(asked)


def _is_evaluated(cell: Cell, checkpoints: list[int]) -> bool:
    """Whether ``scores.csv`` was drawn with these settings, and has all that is due."""
    recorded = LATER_KEYS["evaluate"] | _read(cell.folder / EVALUATION)
    if not _same(recorded, evaluation_settings(cell)):
        return False
    sets = evaluation_sets(cell.evaluate)
    try:
        with (cell.folder / SCORES).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return False
    due = {
        (step, label)
        for step in checkpoints
        for label in due_labels(sets, final=step == checkpoints[-1])
    }
    drawn = {(int(row["step"]), row["benchmark"]) for row in rows}
    return due <= drawn and {label for _, label in drawn} == set(sets)
