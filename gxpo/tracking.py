"""Import finished cells into MLflow, for its comparison UI. Nothing reads MLflow back.

One flat run per (model, method label, seed), with the same metric names for every method; what a
rule reports about itself stays in ``metrics.jsonl``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from gxpo.config import Cell, cells
from gxpo.metrics import COLUMNS, read_rows
from gxpo.results import read_scores
from gxpo.runs import METRICS, RUN, SCORES, status

BATCH = 1000  # metrics per request, the most MLflow takes
CONTENT_TAG = "content_sha256"


def import_runs(config: dict[str, Any], database: Path) -> int:
    """Import every finished cell into the sqlite ``database``; returns the number of new runs.

    A cell that stands there unchanged is left alone, a changed one is deleted and imported anew.
    """
    database = database.resolve()
    database.parent.mkdir(parents=True, exist_ok=True)
    with _only_import(database):
        return _import(config, database)


@contextlib.contextmanager
def _only_import(database: Path) -> Iterator[None]:
    """Imports into a database take turns: two at a time would both miss, and both add, a run."""
    with database.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _import(config: dict[str, Any], database: Path) -> int:
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name(config["name"])
    if experiment is None:
        artifacts = (database.parent / "mlflow-artifacts").as_uri()
        experiment_id = client.create_experiment(config["name"], artifact_location=artifacts)
    else:
        experiment_id = experiment.experiment_id
    return sum(
        _import_cell(client, experiment_id, cell)
        for cell in cells(config)
        if status(cell)[0] == "finished"
    )


def _import_cell(client: MlflowClient, experiment_id: str, cell: Cell) -> bool:
    content = _content_hash(cell)
    name = f"{cell.model}/{cell.label}/seed{cell.seed}"
    known = client.search_runs([experiment_id], f"attributes.run_name = '{name}'")
    if any(run.data.tags.get(CONTENT_TAG) == content for run in known):
        return False
    for run in known:
        client.delete_run(run.info.run_id)
    start_ms = int((cell.folder / RUN).stat().st_mtime * 1000)
    run = client.create_run(experiment_id, start_time=start_ms, run_name=name)
    run_id = run.info.run_id
    tags = {"model": cell.model, "method": cell.label, "rule": cell.method, "seed": str(cell.seed)}
    client.log_batch(
        run_id,
        params=[Param(key, str(value)) for key, value in _params(cell).items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    metrics = _metrics(cell, start_ms)
    for i in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[i : i + BATCH])
    # last: a run without it was interrupted, and is replaced by the next import
    client.set_tag(run_id, CONTENT_TAG, content)
    client.set_terminated(run_id, end_time=metrics[-1].timestamp if metrics else start_ms)
    return True


def _params(cell: Cell) -> dict[str, Any]:
    train = {key: cell.train[key] for key in ("learning_rate", "steps", "beta", "epsilon")}
    return {"method": cell.method, **cell.hyperparameters, "seed": cell.seed, **train}


def _metrics(cell: Cell, start_ms: int) -> list[Metric]:
    """Training columns and scores, timed by training seconds; values that are null are left out."""
    metrics, time_of_step = [], {0: start_ms}
    for row in read_rows(cell.folder / METRICS):
        step = row["step"]
        time_of_step[step] = start_ms + int(1000 * row["train_seconds"])
        values = {key: row[key] for key in COLUMNS if key != "step"}
        values["active"] = row.get("method/active", 1.0)
        metrics += [
            Metric(f"train/{key}", value, time_of_step[step], step)
            for key, value in values.items()
            if value is not None
        ]
    for score in read_scores(cell).itertuples():
        name = f"eval/{score.benchmark}/pass_at_1"
        metrics.append(Metric(name, score.pass_at_1, time_of_step[score.step], score.step))
    return metrics


def _content_hash(cell: Cell) -> str:
    digest = hashlib.sha256()
    for name in (RUN, METRICS, SCORES):
        digest.update((cell.folder / name).read_bytes())
    return digest.hexdigest()
