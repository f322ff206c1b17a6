"""Comparisons under hard limits: the client of ``gxpo.grading.worker``.

A process that grades owns one worker, which imports math-verify once and forks a child for every
comparison. A comparison that runs into its limits costs that child and nothing else: the worker
need not start again.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import warnings

from gxpo.host import environment

CPU_SECONDS = 4.0  # decides: on a loaded machine the same answers are graded the same
WALL_SECONDS = 20.0  # ends what waits instead of computing
SECONDS_TO_START = 120.0
GRACE = 10.0  # after it, a worker that should have ended its child is itself replaced


def equal_within_limits(gold: str, given: str) -> bool:
    """Whether two clean answers are equal, as far as the limits allow to tell; else False.

    Raises RuntimeError if no worker can be started: no answer is wrong because of that.
    """
    return _worker.ask(gold, given)


def start_early() -> None:
    """Start the worker without waiting for it: its imports take a second or two, which a process
    that is about to generate has to spare."""
    _worker.launch()


class Worker:
    """A ``gxpo.grading.worker`` process: started when first needed, replaced when it is gone."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._lock = threading.Lock()  # threads take turns

    def ask(self, gold: str, given: str) -> bool:
        question = [gold, given, CPU_SECONDS, WALL_SECONDS]
        with self._lock:
            for _ in range(2):  # a worker that something killed says nothing about the answer
                self.launch()
                self._wait_until_ready()
                try:
                    return self._exchange(question, WALL_SECONDS + GRACE) is True
                except (TimeoutError, OSError, ValueError):
                    self.stop()
        warnings.warn("an answer was graded wrong: its grading worker died twice", stacklevel=2)
        return False

    def launch(self) -> None:
        """Start the process where none is alive; it says when it is ready."""
        if self.process is not None and self.process.poll() is None:
            return
        self.stop()
        self._ready = False
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gxpo.grading.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,  # a fork of this process inherits no half-written question
            env=environment.child({"OMP_NUM_THREADS": "1"}),
            start_new_session=True,  # a signal to the job's group must not fail an answer
        )

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        try:
            self._read(SECONDS_TO_START)
            self._ready = True
        except (TimeoutError, ValueError) as error:
            self.stop()
            raise RuntimeError(
                "the grading worker did not start: is math-verify installed?"
            ) from error

    def _exchange(self, question: list[object], seconds: float) -> object:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(json.dumps(question).encode() + b"\n")  # fits a pipe's buffer
        return self._read(seconds)

    def _read(self, seconds: float) -> object:
        assert self.process is not None and self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not readable:
            raise TimeoutError
        return json.loads(self.process.stdout.readline())

    def stop(self) -> None:
        """Kill the process and reap it."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def leave(self) -> None:
        """In a forked child: let go of the parent's process, so that it ends with the parent."""
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
            self.process.returncode = 0  # not ours to wait for
            self.process = None


_worker = Worker()


def _after_fork() -> None:
    """A forked child (a DataLoader worker, say) gets its own worker and an open lock."""
    global _worker
    _worker.leave()
    _worker = Worker()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _worker.stop())
