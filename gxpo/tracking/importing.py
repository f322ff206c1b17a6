"""Finished cells into an MLflow database, or to the server that MLFLOW_TRACKING_URI names.

Nearly all the time goes to MLflow's own store, for every value, and is processor time
(docs/evidence/report.md): many cells are shared out to two processes
(``gxpo.tracking.import_worker``).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from gxpo.cells import Cell
from gxpo.config import cells
from gxpo.host import UserError, denied, environment, progress_bar, redact, wait_for_lock
from gxpo.identity import FINISHED, LEFT_OUT, survey
from gxpo.tracking.mlflow_runs import get_experiment, import_cell, mark_left_out
from gxpo.tracking.moved import follow_database
from gxpo.tracking.summary import import_summary

PROCESSES = 2  # SQLite has one writer at a time: three were no faster
MANY = 50  # cells; fewer are imported before the processes would have started
LOCK_SECONDS = 60  # that a process waits for the other's transaction, a fraction of a second


def import_runs(
    config: dict[str, Any], database: Path, server: str | None = None, here: bool = True
) -> int:
    """Import every finished cell into the sqlite ``database``, or into the MLflow ``server``;
    returns the number of cells that were not there yet, or not as they are now. here: False for
    results from elsewhere (``gxpo.identity.status``).

    Raises UserError where the server or the database does not do as asked.
    """
    database = database.resolve()
    for path in (database.with_suffix(".lock"), *([] if server else [database])):
        if problem := denied(path):
            raise UserError(problem)
    database.parent.mkdir(parents=True, exist_ok=True)
    uri, artifacts = server, None
    if uri is None:
        uri = f"sqlite:///{database}?timeout={LOCK_SECONDS}"
    environment.default("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # seconds, not minutes
    with _only_import(database) as lock:
        if server is None:
            artifacts = follow_database(database)
        try:
            return _import(config, uri, artifacts, lock, here)
        except MlflowException as error:
            reason = " ".join(str(error).split())[:300]
            where = f"MLflow server {server}" if server else f"MLflow database {database}"
            raise UserError(
                redact(f"{where}: {reason} (no result is lost: run this again)")
            ) from error


@contextlib.contextmanager
def _only_import(database: Path) -> Iterator[IO[str]]:
    """Imports into a database take turns: two at a time would both miss, and both add, a run."""
    with database.with_suffix(".lock").open("w") as file:
        wait_for_lock(file.fileno(), database)
        yield file


def _import(
    config: dict[str, Any], uri: str, artifacts: str | None, lock: IO[str], here: bool
) -> int:
    client = MlflowClient(uri)
    experiment = get_experiment(client, config["name"], artifacts)
    asked = cells(config)
    found = list(zip(asked, survey(asked, here), strict=True))
    finished = [cell for cell, status in found if status.state == FINISHED]
    for cell, status in found:
        if status.state in LEFT_OUT:
            print(redact(f"not imported: {cell.folder}: {status.reason}"), file=sys.stderr)
            mark_left_out(client, experiment, cell, status.reason)
    new: Iterator[bool]
    if len(finished) < MANY:
        new = (import_cell(client, experiment, cell) for cell in finished)
    else:
        new = _import_side_by_side(uri, experiment, finished, lock)
    count = 0
    with progress_bar("MLflow import", total=len(finished)) as bar:
        for was_new in new:
            count += was_new
            bar.update()
    import_summary(client, experiment, Path("results", config["name"]))
    return count


def _import_side_by_side(
    uri: str, experiment: str, finished: list[Cell], lock: IO[str]
) -> Iterator[bool]:
    """``import_cell`` of every cell, by processes that hold the lock as this one does: should
    this one be killed, the next import waits until they have noticed and ended."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "gxpo.tracking.import_worker"]
    with os.fdopen(reader) as answers, contextlib.ExitStack() as running:
        options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": writer, "text": True}
        workers = [
            running.enter_context(subprocess.Popen(command, pass_fds=[lock.fileno()], **options))
            for _ in range(PROCESSES)
        ]
        os.close(writer)
        running.callback(answers.close)  # before they are waited for: then they end
        for i, worker in enumerate(workers):
            share = [asdict(cell) for cell in finished[i::PROCESSES]]
            assert worker.stdin is not None
            with worker.stdin:
                json.dump({"uri": uri, "experiment": experiment, "cells": share}, worker.stdin)
        for answer in map(json.loads, answers):
            if isinstance(answer, str):
                raise MlflowException(answer)
            yield answer
        if any(worker.wait() for worker in workers):
            raise MlflowException("an importing process was ended")
