"""Kill training processes at random moments, start them again until they finish, and compare with
runs that nobody killed: final metrics and every checkpoint's weights, bit by bit. ``make soak``.

Prints a Markdown table with a row a kill; exits with 1 on any difference. Half of the kills come at
a moment drawn from the whole life of the process, imports included; the others wait, from a moment
of the training on, for a checkpoint that is being written. Half are SIGKILL, half SIGTERM.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from support.killing import Training, outcome, raw_config

from gxpo.cells import MANIFEST, checkpoint_steps, step_of
from gxpo.cells.checkpoints import newest_whole

STEPS = 20
CELLS = {
    "grpo, 2 micro-batches": ("grpo", {}),
    "sfpo, 2 micro-batches, gate closes": ("sfpo", {}),
    "gxpo, 2 micro-batches, gate closes": ("gxpo", {}),
    "gxpo, 1 micro-batch, gate stays open": ("gxpo-open", {"micro_batch_size": 16}),
    "gxpo, 2 micro-batches, LoRA, gate opens again": ("gxpo-lora", {}),
}
EXITS = {-signal.SIGKILL: "SIGKILL", -signal.SIGTERM: "SIGTERM"}


@dataclass
class Kill:
    """One kill and what came of it."""

    signal: str
    seconds: float  # since the process was started
    step: int  # of the newest row
    torn: str  # the checkpoint that was being written, if any
    exit: str
    repeated: int  # steps that had a row and are trained again
    settings: str = ""
    identical: bool | None = None  # known once the run has finished

    def row(self):
        moment = f"step {self.step}, {self.seconds:.1f} s" + (f", {self.torn}" if self.torn else "")
        identical = "yes" if self.identical else "**no**"
        cells = (self.settings, self.signal, moment, self.exit, self.repeated, identical)
        return f"| {' | '.join(map(str, cells))} |"


class Cell:
    """One cell's runs: the uninterrupted one at once, killed ones on demand."""

    def __init__(self, settings, policy, folder):
        label, train = CELLS[settings]
        self.settings = settings
        self.raw = raw_config(policy, label, steps=STEPS, **train)
        self.folder = folder
        reference = Training(folder / "reference", self.raw)
        reference.wait_for(lambda: reference.steps)
        self.startup = time.monotonic() - reference.started  # seconds until the first row
        finish(reference)
        self.training = time.monotonic() - reference.started - self.startup  # seconds after it
        self.expected = outcome(folder / "reference", reference.cell)

    def kill_until_finished(self, kills, rng):
        """Train once, killed ``kills`` times or less (where it finishes before); the kills."""
        made = []
        while len(made) < kills:
            process = Training(self.folder / "killed", self.raw)
            left = 1 - step_of(newest(process)) / STEPS
            while_writing = rng.random() < 0.5
            first = self.startup if while_writing else 0
            moment = rng.uniform(first, self.startup + left * self.training)
            number = rng.choice([signal.SIGKILL, signal.SIGTERM])
            kill = kill_at(process, number, moment, while_writing)
            if kill is None:
                break
            made.append(kill)
        else:
            process = Training(self.folder / "killed", self.raw)
        finish(process)
        identical = outcome(self.folder / "killed", process.cell) == self.expected
        for kill in made:
            kill.settings, kill.identical = self.settings, identical
        shutil.rmtree(self.folder / "killed")
        return made


def soak(settings, policy, folder, kills, rng):
    """``kills`` kills of one cell, in as many runs as it takes."""
    cell = Cell(settings, policy, folder)
    made = []
    while len(made) < kills:
        made += cell.kill_until_finished(kills - len(made), rng)
    return made


def finish(process):
    if process.end() != 0:
        raise RuntimeError(f"training failed: {process.log.read_text()}")


def kill_at(process, number, moment, while_writing):
    """The kill, or None where the process had ended before."""
    process.wait_for(lambda: time.monotonic() - process.started >= moment)
    if while_writing:
        process.wait_for(lambda: unsealed(process))
    if process.process.poll() is not None:
        return None
    seconds = time.monotonic() - process.started
    code = process.end(number)
    step = max(process.steps, default=0)
    return Kill(
        signal=signal.Signals(number).name,
        seconds=seconds,
        step=step,
        torn=f"{unsealed(process)} torn" if unsealed(process) else "",
        exit=EXITS.get(code, str(code)),
        repeated=step - step_of(newest(process)),
    )


def newest(process):
    """The checkpoint that the next start resumes from."""
    steps = checkpoint_steps(STEPS, process.cell.evaluate["every"])
    return newest_whole(process.state, process.steps, steps)[0]


def unsealed(process):
    """The name of a checkpoint without a manifest, or None."""
    for checkpoint in process.state.glob("checkpoint-*"):
        if not (checkpoint / MANIFEST).exists():
            return checkpoint.name
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--jobs", type=int, default=2, help="cells side by side")
    arguments = parser.parse_args()

    from gxpo.policy.warmstart import warmstart

    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(arguments.jobs) as pool:
        folder = Path(temporary)
        warmstart("qwen2", folder / "policy", steps=220)
        jobs = [
            pool.submit(
                soak,
                settings,
                folder / "policy",
                folder / f"cell-{i}",
                len(range(i, arguments.kills, len(CELLS))),
                random.Random(f"{arguments.seed} {settings}"),
            )
            for i, settings in enumerate(CELLS)
        ]
        kills = [kill for job in jobs for kill in job.result()]
    print("| method, settings | signal | moment | exit | steps trained twice | identical |")
    print("|---|---|---|---|---|---|")
    for kill in kills:
        print(kill.row())
    different = sum(not kill.identical for kill in kills)
    print(f"\n{len(kills)} kills; {different} of them in runs that differ from the uninterrupted")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
