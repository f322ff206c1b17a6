"""Which training of a running matrix a fault of the drill hits (slurm_faults.py), and when."""

import contextlib
import os
import re
import signal
from dataclasses import dataclass


class NoVictimError(Exception):
    """The matrix is nearly done: there is no training to disturb."""


@dataclass
class Fault:
    """One injected fault; ``identical`` is known once the matrix has finished."""

    kind: str
    moment: str
    identical: bool | None = None


class Victims:
    """Finds the trainings of a matrix to disturb, and notes what was done to them."""

    def __init__(self, matrix, rng):
        self.matrix, self.cluster, self.rng = matrix, matrix.cluster, rng
        self.made = []
        self._hits = {}
        self._expected = []  # (cell, pattern) of what its log must say in the end

    def note(self, kind, moment):
        self.made.append(Fault(kind, moment))
        print(f"  {len(self.made)}. {kind}: {moment}", flush=True)

    def check_logs(self):
        """After the matrix: the log of every cell says what happened to it."""
        for cell, pattern in self._expected:
            log = (self.matrix.path(cell) / "log.txt").read_text()
            assert re.search(pattern, log), f"{name_of(cell)}: no {pattern!r} in {log[-3000:]}"

    @contextlib.contextmanager
    def victim(self, most=2, after=None):
        """(cell, job id, steps) of a training that stands still meanwhile, so that the fault finds
        it in the middle however fast the machine is. Arguments and errors as of ``stopped``."""
        cell, job, steps, pid = self.stopped(most, after)
        try:
            yield cell, job, steps
        finally:
            signal_to(pid, signal.SIGCONT)

    def stopped(self, most=2, after=None):
        """(cell, job id, steps, process) of a training in the middle, one that was hit least, after
        SIGSTOP.

        most: faults a cell takes before it is left alone, so that Snakemake's retries suffice.
        Raises NoVictimError where none is left to train.
        """
        wanted = self.rng.randint(1, 8) if after is None else after
        last = self.matrix.raw["train"]["steps"] - 2

        def found():
            left = [
                cell
                for cell in sorted(self.matrix.cells, key=lambda c: self._hits.get(_key(c), 0))
                if self._hits.get(_key(cell), 0) < most and not self.matrix.is_trained(cell)
            ]
            if not left or self.matrix.process.poll() is not None:
                raise NoVictimError
            for cell in left:
                if not wanted <= self.matrix.steps(cell) <= last:
                    continue
                job, pid = self.matrix.job_of(cell), self.alive(cell)
                if job and pid in self.cluster.processes_of(job):
                    signal_to(pid, signal.SIGSTOP)
                    if (steps := self.matrix.steps(cell)) <= last:  # it went on until now
                        return cell, job, steps, pid
                    signal_to(pid, signal.SIGCONT)
            return None

        cell, job, steps, pid = self.matrix.wait_for(found, f"a training at {wanted} to {last}")
        self._hits[_key(cell)] = self._hits.get(_key(cell), 0) + 1
        return cell, job, steps, pid

    def alive(self, cell):
        """The training process of a cell, or None: the lock names it until it has ended."""
        lock = self.matrix.path(cell) / "lock"
        words = lock.read_text().split() if lock.exists() else []
        if "process" not in words:
            return None
        pid = int(words[words.index("process") + 1])
        return pid if exists(pid) else None

    def wait_for_the_end_of(self, cell, seconds=60):
        pid = self.alive(cell)
        self.matrix.wait_for(lambda: not self.alive(cell), f"the end of process {pid}", seconds)

    def end_state(self, job):
        """How Slurm says that a job has ended; None while it has not."""
        state = self.cluster.job(job).get("JobState")
        return None if state in (None, "PENDING", "RUNNING", "COMPLETING") else state

    def restarts(self, job):
        """How often Slurm has queued a job again."""
        return int(self.cluster.job(job).get("Restarts", 0))


def signal_to(pid, number):
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, number)


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _key(cell):
    return cell.label, cell.seed


def name_of(cell):
    return f"{cell.label} seed {cell.seed}"
