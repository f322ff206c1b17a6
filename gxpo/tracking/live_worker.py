"""``python -m gxpo.tracking.live_worker``: a training cell's rows to an MLflow server as they come.

Standard input brings one line of JSON (cell, identity, metrics: the file) and then nothing until
training ends: a last line with the run's state, or without one if training was killed. Exit code 0
if the server has all rows, else 1. Nothing waits for this process.
"""

from __future__ import annotations

import io
import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from gxpo.cells import Cell, read_rows
from gxpo.host import UserError, redact
from gxpo.tracking.live import tracking_server
from gxpo.tracking.mlflow_runs import (
    continues,
    create_run,
    get_experiment,
    log_metrics,
    runs_of,
    step_metrics,
)

LOOK_SECONDS = 1.0  # between two looks at the file
PAUSE_SECONDS = 30.0  # without a request, after one that failed


class Feed:
    """One cell's rows, from its file to its run on the server."""

    def __init__(self, client: MlflowClient, cell: Cell, identity: str, metrics: Path):
        self._client = client
        self._cell = cell
        self._identity = identity
        self._metrics = metrics
        self._run: Run | None = None
        self._logged: set[int] = set()  # steps that the server has

    def send(self) -> None:
        """Send the rows that the server has not. Raises MlflowException, and can be called again:
        MLflow drops a point that it has already."""
        rows = read_rows(self._metrics) if self._metrics.exists() else []
        run = self._run = self._run or self._open()
        rows = [row for row in rows if row["step"] not in self._logged]
        start = run.info.start_time
        metrics = [m for row in rows for m in step_metrics(row, self._cell, start)]
        log_metrics(self._client, run, metrics)
        self._logged |= {row["step"] for row in rows}

    def set_state(self, state: str) -> None:
        assert self._run is not None
        self._client.update_run(self._run.info.run_id, status=state)

    def _open(self) -> Run:
        """The run of the same settings, to be continued, or a new one; those of others go."""
        experiment = get_experiment(self._client, self._cell.name)
        known = runs_of(self._client, experiment, self._cell)
        run = next((run for run in known if continues(run, self._identity)), None)
        for other in known:
            if other is not run:
                self._client.delete_run(other.info.run_id)
        if run is None:
            start_ms = int(1000 * time.time())
            return create_run(self._client, experiment, self._cell, self._identity, start_ms)
        self._client.update_run(run.info.run_id, status="RUNNING")
        # The last of a row. Steps that were trained again have other seconds; the import looks.
        history = self._client.get_metric_history(run.info.run_id, "train/active")
        self._logged = {metric.step for metric in history}
        return run


def work(feed: Feed, stdin: io.RawIOBase) -> bool:
    """Feed until ``stdin`` says that training has ended; whether the server has all rows."""
    failed_at: float | None = None
    while True:
        ended = bool(select.select([stdin], [], [], LOOK_SECONDS)[0])
        state = stdin.readline().decode().strip() or "KILLED" if ended else "RUNNING"
        if failed_at is None or ended or time.monotonic() - failed_at > PAUSE_SECONDS:
            try:
                feed.send()
                if ended:
                    feed.set_state(state)
                failed_at = None
            except (MlflowException, OSError, UserError) as error:  # those of requests are OSErrors
                if failed_at is None:
                    _explain(error)
                failed_at = time.monotonic()
        if ended:
            return failed_at is None


def _explain(error: Exception) -> None:
    reason = " ".join(str(error).split())[:200]
    print(redact(f"live tracking waits: {type(error).__name__}: {reason}"), file=sys.stderr)


def main() -> None:
    stdin = os.fdopen(sys.stdin.fileno(), "rb", buffering=0)
    order: dict[str, Any] = json.loads(stdin.readline())
    client = MlflowClient(tracking_server())
    feed = Feed(client, Cell(**order["cell"]), order["identity"], Path(order["metrics"]))
    sys.exit(0 if work(feed, stdin) else 1)


if __name__ == "__main__":
    main()
