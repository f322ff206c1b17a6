"""The faults of the drill: each is injected into a running matrix (tests/slurm_matrix.py)."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from conftest import ROOT

from gxpo.checkpoints import MANIFEST, step_of
from gxpo.runs import STATE

STATE_SAVED = 8  # seconds after which slurmctld has surely written down what happened


class NoVictimError(Exception):
    """The matrix is nearly done: there is no training to disturb."""


@dataclass
class Fault:
    """One injected fault; ``identical`` is known once the matrix has finished."""

    kind: str
    moment: str
    identical: bool | None = None


class Faults:
    """Injects faults into a matrix and notes them."""

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
            _signal(pid, signal.SIGCONT)

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
                    _signal(pid, signal.SIGSTOP)
                    if (steps := self.matrix.steps(cell)) <= last:  # it went on until now
                        return cell, job, steps, pid
                    _signal(pid, signal.SIGCONT)
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
        return pid if _exists(pid) else None

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

    def scancel(self):
        with self.victim() as (cell, job, steps):
            self.cluster.client("scancel", job)
        state = self.matrix.wait_for(lambda: self.end_state(job), f"the end of job {job}", 120)
        assert state == "CANCELLED", f"job {job} has ended {state} before it was cancelled"
        self.note("scancel of a running cell", f"{name_of(cell)}, step {steps}")

    def requeue(self):
        with self.victim(most=4) as (cell, job, steps):
            before = self.restarts(job)
            self.cluster.client("scontrol", "requeue", job)
        self.matrix.wait_for(lambda: self.restarts(job) > before, f"the requeue of {job}", 120)
        self.note("scontrol requeue", f"{name_of(cell)}, step {steps}")
        self.wait_for_the_end_of(cell)

    def sigkill(self):
        with self.victim() as (cell, _, steps):
            os.kill(self.alive(cell), signal.SIGKILL)
        self.note("SIGKILL of the training process", f"{name_of(cell)}, step {steps}")

    def restart_daemon(self, name):
        with self.victim(most=99) as (cell, _, steps):
            # A controller that is killed before it has saved the end of a job, which takes it some
            # seconds, takes the job for a running one, and drains the node: not ours to cure.
            while name == "slurmctld":
                jobs = self.cluster.client("squeue", "-h", "-o", "%i %T")
                time.sleep(STATE_SAVED)
                if jobs == self.cluster.client("squeue", "-h", "-o", "%i %T"):
                    break
            self.cluster.stop(name, kill=True)
            time.sleep(self.rng.uniform(1, 4))
            self.cluster.start_daemon() if name == "slurmd" else self.cluster.start_controller()
            self.cluster.wait_until_up()
        self.note(f"{name} killed and started again", f"{name_of(cell)} at step {steps}")

    def node_crash(self):
        """The daemon and all processes of a job are gone at once; the controller gives the node up
        and queues the job again."""
        with self.victim(most=99) as (cell, job, steps):
            self.cluster.stop("slurmd", kill=True)
            for pid in self.cluster.processes_of(job):
                _signal(pid, signal.SIGKILL)
        self.matrix.wait_for(
            lambda: self.cluster.client("sinfo", "-h", "-o", "%T").strip().startswith("down"),
            "the node to be down",
        )
        self.cluster.start_daemon()
        self.cluster.wait_until_up()
        self.matrix.wait_for(lambda: self.cluster.job(job).get("Restarts") == "1", "its requeue")
        self._expected.append((cell, rf"Slurm job {job}, .* was killed, or its node went down"))
        self.note(
            "node crash: slurmd and the job's processes gone", f"{name_of(cell)}, step {steps}"
        )

    def second_snakemake(self):
        with self.victim(most=99) as (cell, _, steps):
            code, said = self.matrix.call()
        assert code != 0, said
        assert "Error: Directory cannot be locked" in said or "LockException" in said, said[-2000:]
        line = next(line for line in said.splitlines() if "lock" in line.lower())
        print(f"    it said: {line.strip()}")
        self.note("second Snakemake on the same results", f"{name_of(cell)} at step {steps}")

    def second_process(self):
        with self.victim(most=99) as (cell, _, steps):
            command = [sys.executable, "-m", "gxpo.cli", "train", "config.yaml"]
            command += ["--model", cell.model, "--label", cell.label, "--seed", str(cell.seed)]
            environment = self.matrix.environment | {"PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                command, cwd=self.matrix.folder, env=environment, capture_output=True, text=True
            )
        assert done.returncode == os.EX_TEMPFAIL, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        print(f"    it said: {done.stderr.strip()}")
        self.note("second gxpo train of a running cell", f"{name_of(cell)}, step {steps}")

    def ctrl_c(self):
        with self.victim(most=99) as (cell, _, steps):
            code = self.matrix.interrupt(signal.SIGINT)
        assert code != 0
        self.note("Snakemake: Ctrl-C, started again", f"{name_of(cell)} at step {steps}")
        self.matrix.start()

    def kill_snakemake(self):
        """What it leaves running is ended by the next one."""
        with self.victim(most=99) as (cell, job, steps):
            self.matrix.interrupt(signal.SIGKILL)
            assert self.matrix.call("--unlock")[0] == 0
            self.matrix.start()
        self.matrix.wait_for(lambda: self.end_state(job), f"the end of the orphan {job}")
        self.note("Snakemake: kill -9, started again", f"{name_of(cell)} at step {steps}")

    def corrupt(self, how):
        """Cancel a cell with two checkpoints, and damage the newest before the retry reads it."""
        after = 2 * self.matrix.raw["evaluate"]["every"] + 1
        with self.victim(after=after) as (cell, job, _):
            self.cluster.client("scancel", job)
        self.wait_for_the_end_of(cell)
        whole = (self.matrix.path(cell) / STATE).glob("checkpoint-*/" + MANIFEST)
        newest = max((path.parent for path in whole), key=step_of)
        DAMAGE[how](newest)
        self._expected.append((cell, rf"{newest.name}\b.*{SAID[how]}"))
        self.note(f"corrupt checkpoint: {how}", f"{name_of(cell)}, {newest.name}")

    def walltime(self, graceful):
        """Two trainings stand still until their time is up, or nearly; then they must stop."""
        frozen = [self.stopped(after=1, most=1) for _ in range(2)]
        for _, job, _, pid in frozen if graceful else ():
            self.matrix.wait_for(
                lambda job=job: self.cluster.job(job).get("RunTime", "") >= "00:01:55", "1:55"
            )
            _signal(pid, signal.SIGCONT)
        by = "the end of its walltime" if graceful else "(SIGTERM|the end of its walltime)"
        for cell, job, steps, pid in frozen:
            self.matrix.wait_for(lambda pid=pid: not _exists(pid), f"the end of {pid}", 200)
            log = (self.matrix.path(cell) / "log.txt").read_text()
            assert re.search(f"stopped by {by} after step", log), log[-1500:]
            state = self.matrix.wait_for(lambda job=job: self.end_state(job), f"the end of {job}")
            assert (state == "TIMEOUT") != graceful, state
            kind = "walltime near: stopped ahead of it" if graceful else "walltime exceeded"
            self.note(kind, f"{name_of(cell)}, step {steps}")


def _signal(pid, number):
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, number)


def _exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _key(cell):
    return cell.label, cell.seed


def name_of(cell):
    return f"{cell.label} seed {cell.seed}"


def _flip(checkpoint):
    file = checkpoint / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _truncate(checkpoint):
    os.truncate(checkpoint / "optimizer.pt", 100)


DAMAGE = {
    "a flipped bit in the weights": _flip,
    "a truncated optimizer state": _truncate,
    "no manifest": lambda checkpoint: (checkpoint / MANIFEST).unlink(),
}
SAID = {
    "a flipped bit in the weights": r"model\.safetensors .* is not as it was written",
    "a truncated optimizer state": r"optimizer\.pt \(100 bytes\) is not as it was written",
    "no manifest": f"it has no {MANIFEST}",
}
"""By the training that comes upon each damage."""
