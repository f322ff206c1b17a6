"""One process works on a cell at a time, one Snakemake on the results of a configuration; who that
is, or was last, stands in ``lock`` of the folder.

The lock is flock(2): released by the kernel however the process ends. On NFS Linux turns it into a
lock of the server, which holds across nodes; mounted with ``nolock`` or ``local_lock``, or on
Lustre without ``flock``, it holds on one node at most. A process that is refused a lock by the file
system (not by a holder) says so and goes on without.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

from gxpo.host import Busy, UserError, denied, environment, say_unlocked

LOCK = "lock"
PATIENCE = 20  # attempts, in a second


@contextlib.contextmanager
def sole_worker(folder: Path, stage: str) -> Iterator[None]:
    """Hold ``folder`` while open; of several launched processes, the first does.

    Says on standard error who starts, and that the process before was killed if it was. Raises Busy
    where another process holds it, UserError where it is somebody else's to write to.
    """
    if environment.rank():
        yield
        return
    for path in (folder, folder / LOCK):
        if problem := denied(path):
            raise UserError(problem)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            _lock(file)
        except BlockingIOError:
            raise Busy(f"{folder} is taken by {_read(file) or 'another process'}") from None
        except OSError as error:
            say_unlocked(folder, error)
        if killed := _read(file):
            print(f"{folder}: {killed} was killed, or its node went down", file=sys.stderr)
        me = _this_process(stage)
        _write(file, me)
        print(f"{folder}: {me}", file=sys.stderr)
        try:
            yield
        finally:
            _write(file, None)


def _lock(file: IO[str]) -> None:
    """Raises BlockingIOError where another process works on the folder: one that only asks who does
    (``killed_worker``) has its lock for a moment."""
    for attempt in range(1, PATIENCE + 1):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt == PATIENCE:
                raise
            time.sleep(1 / PATIENCE)


def hold_until_exit(folder: Path, stage: str) -> None:
    """The same until this process ends. Raises Busy."""
    held = contextlib.ExitStack()
    held.enter_context(sole_worker(folder, stage))
    atexit.register(held.close)


def killed_worker(folder: Path) -> str | None:
    """The process that last worked on the cell, if it was killed: it neither finished nor said why
    it could not."""
    try:
        with (folder / LOCK).open(encoding="utf-8") as file:
            if _read(file) is None:
                return None
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return _read(file)
    except (FileNotFoundError, BlockingIOError):
        return None
    except OSError:  # no locks here: it may well be at work
        return None


def present_worker(folder: Path) -> str | None:
    """The process that works on the cell now, as another process sees it."""
    try:
        with (folder / LOCK).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with (folder / LOCK).open(encoding="utf-8") as file:
            return _read(file) or "another process works on it"
    except OSError:  # no lock, or a file system without locks
        return None
    return None


def _this_process(stage: str) -> str:
    job = environment.read("SLURM_JOB_ID")
    where = f"process {os.getpid()} on {socket.gethostname()}" + (
        f", Slurm job {job}" if job else ""
    )
    return f"{stage}, {where}, since {datetime.now():%Y-%m-%d %H:%M:%S}"


def _read(file: IO[str]) -> str | None:
    file.seek(0)
    try:
        return json.loads(file.read())
    except ValueError:  # empty, or torn
        return None


def _write(file: IO[str], holder: str | None) -> None:
    try:
        file.seek(0)
        file.truncate()
        file.write(json.dumps(holder) + "\n")
        file.flush()
    except OSError as error:  # the lock holds all the same
        print(f"{file.name}: cannot be written ({error})", file=sys.stderr)
