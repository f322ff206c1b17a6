"""What a cell was, is and has become: the state that it resumes from, and ``run.json``."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gxpo.catalog import method_source, reward_source
from gxpo.cells import (
    METRICS,
    PROBLEM_SCORES,
    RUN,
    SAMPLES,
    SCORES,
    Cell,
    checkpoint_steps,
    checkpoints,
    keep_rows_until,
    read_rows,
)
from gxpo.host import provenance, write_atomically
from gxpo.policy import weight_files
from gxpo.training.trainer import MethodTrainer


def prepare_state(state: Path, identity: str, scheduled: list[int]) -> Path | None:
    """Keep the state if it is this run's, else clear it; return the checkpoint to resume from, with
    neither rows nor checkpoints that are newer."""
    mark, metrics = state / "identity", state / METRICS
    if not mark.exists() or mark.read_text() != identity:
        if checkpoints_there := len(list(state.glob("checkpoint-*"))):
            print(
                f"{state.parent}: trained with other settings, weights, problems or another method "
                f"or reward file: its {checkpoints_there} checkpoints are discarded",
                file=sys.stderr,
            )
        # no result stands for a state that is gone
        for result in (RUN, SCORES, PROBLEM_SCORES, SAMPLES):
            (state.parent / result).unlink(missing_ok=True)
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        write_atomically(mark, identity)
    steps = [row["step"] for row in read_rows(metrics)] if metrics.exists() else []
    checkpoint = checkpoints.resume_from(state, steps, scheduled)
    keep_rows_until(metrics, checkpoints.step_of(checkpoint))
    return checkpoint


def identity_of(cell: Cell, problems_hash: str) -> str:
    """A hash of all that decides the numbers of a cell, other than code versions and hardware."""
    weights = weight_files(cell.model_path)
    settings = asdict(cell) | {
        "train": cell.deciding_train,
        "evaluate": cell.evaluate["every"],  # what is evaluated changes none
    }
    parts = [settings, problems_hash, weights, method_source(cell.method)]
    if own := cell.setting("train", "reward"):
        parts.append(reward_source(own))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def run_record(
    cell: Cell, identity: str, trainer: MethodTrainer, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "cell": asdict(cell),
        "hyperparameters": trainer.method.hyperparameters,
        "identity": identity,
        "checkpoints": checkpoint_steps(cell.train["steps"], cell.evaluate["every"]),
        "processes": trainer.accelerator.num_processes,
        "trainable_parameters": sum(p.numel() for p in trainer.trainable_parameters),
        "totals": {
            k: v for k, v in rows[-1].items() if k.endswith(("seconds", "tokens", "passes"))
        },
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
        "hardware": provenance.hardware(),
    }
