"""The faults of the drill: each is injected into a running matrix (slurm_matrix.py)."""

import os
import re
import signal
import subprocess
import sys
import time

from drills.slurm_victims import Victims, exists, name_of, signal_to
from support.small import ROOT

from gxpo.cells import MANIFEST, STATE, step_of

STATE_SAVED = 8  # seconds after which slurmctld has surely written down what happened


class Faults(Victims):
    """Injects faults into a matrix."""

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
                signal_to(pid, signal.SIGKILL)
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
            signal_to(pid, signal.SIGCONT)
        by = "the end of its walltime" if graceful else "(SIGTERM|the end of its walltime)"
        for cell, job, steps, pid in frozen:
            self.matrix.wait_for(lambda pid=pid: not exists(pid), f"the end of {pid}", 200)
            log = (self.matrix.path(cell) / "log.txt").read_text()
            assert re.search(f"stopped by {by} after step", log), log[-1500:]
            state = self.matrix.wait_for(lambda job=job: self.end_state(job), f"the end of {job}")
            assert (state == "TIMEOUT") != graceful, state
            kind = "walltime near: stopped ahead of it" if graceful else "walltime exceeded"
            self.note(kind, f"{name_of(cell)}, step {steps}")


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
