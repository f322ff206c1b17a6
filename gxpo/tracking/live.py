"""Live tracking, as training sees it: where MLFLOW_TRACKING_URI names a server, a process beside it
(``gxpo.tracking.live_worker``) reads ``metrics.jsonl`` as it grows and sends its rows there.

A process of its own, because seconds are measured: no thread that shares the interpreter, no import
of mlflow, no random number drawn, and whatever happens to the server happens to that process. The
file is the buffer: what the server missed is sent when it is back, or by ``gxpo mlflow``.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from gxpo.cells import Cell
from gxpo.host import environment, redact

CLOSE_SECONDS = 10.0  # for the last rows; training is over and checkpointed by then
# One attempt with a short wait, and nobody waits for it; see live_worker for the pauses.
HTTP = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


def tracking_server() -> str | None:
    """The MLflow server that MLFLOW_TRACKING_URI names; None for anything but http and https."""
    uri = environment.read("MLFLOW_TRACKING_URI")
    return uri if uri.startswith(("http://", "https://")) else None


@contextlib.contextmanager
def live_tracking(cell: Cell, identity: str, metrics: Path) -> Iterator[None]:
    """Send the rows of ``metrics`` (a file that need not exist yet) to the server while open; does
    nothing without one, and raises nothing.

    identity: of the run's settings; a run of the same is continued.
    """
    server = tracking_server()
    process = _start(cell, identity, metrics) if server else None
    if process is None:
        yield
        return
    state = "FAILED"
    try:
        yield
        state = "RUNNING"  # evaluation is to come; the import ends the run
    finally:
        _stop(process, state, str(server))


def _start(cell: Cell, identity: str, metrics: Path) -> subprocess.Popen[bytes] | None:
    order = {"cell": asdict(cell), "identity": identity, "metrics": str(metrics.absolute())}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "gxpo.tracking.live_worker"],
            stdin=subprocess.PIPE,  # its end tells the worker that training has ended, or died
            stdout=subprocess.DEVNULL,
            env=environment.child(HTTP | {"OMP_NUM_THREADS": "1"}),
            start_new_session=True,  # a signal to the job's group stops training, not its last rows
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
    except OSError as error:
        print(f"no live tracking: {error}", file=sys.stderr)
        return None
    return process


def _stop(process: subprocess.Popen[bytes], state: str, server: str) -> None:
    try:
        process.communicate(f"{state}\n".encode(), timeout=CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    if process.returncode != 0:
        print(
            f"live tracking: {redact(server)} does not have all rows; gxpo mlflow completes them",
            file=sys.stderr,
        )
