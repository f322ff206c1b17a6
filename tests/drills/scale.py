"""How long tables, figures, report and MLflow import take on many finished runs, and their memory.

``make scale``, or ``PYTHONPATH=tests python -m drills.scale [CELLS ...]``, makes runs of 300 steps
and 60 evaluations up (answers known, no training), of 5 models, in a temporary folder (some minutes
for 1,000 cells), and runs on them what the pipeline runs: tables and report in one process, the
figures in another beside it, then the import. The runs ended as on a cluster, 16 at a time:
MLflow's index is by time, and a thousand runs of the same hour take half as long again.

Bounds (1,000 cells, two cores): 90 s and 2 GB for the first two together, ten minutes for the
import.
Exit code 1 where one is missed.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from support.fabricate import comparison_config, fabricate

from gxpo.cells import RUN
from gxpo.config import cells, complete_config

MODELS, SEEDS, STEPS, EVERY = 5, 5, 300, 5
AT_A_TIME, SECONDS = 16, 50.0 * 300  # the longest cell's
MADE = {"report": ["--tables", "results/test/tables"], "figures": []}  # side by side
BOUND, IMPORT_BOUND = 90.0, 600.0  # seconds at 1,000 cells
MEMORY, PAGE = 2.0, 5.0  # GB of both processes together; MB of the page


def make(count: int) -> None:
    """config.yaml and its finished cells, here."""
    labels = {"grpo": {"method": "grpo"}}
    for i in range(1, count // (MODELS * SEEDS)):
        k, alpha = (2, 3, 5, 8, 10)[i % 5], round(0.1 * (1 + i // 5), 1)
        labels[f"gxpo-k{k}-a{alpha}"] = {"method": "gxpo", "k": k, "alpha": alpha}
    models = [f"model{i}" for i in range(MODELS)]
    raw = comparison_config(models, labels, range(SEEDS), STEPS, EVERY)
    Path("config.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    place = {label: i / len(labels) for i, label in enumerate(labels)}

    def curve(cell, benchmark, step):
        noise = 0.01 * math.sin(997 * step + 31 * cell.seed + 7 * place[cell.label])
        return 0.3 + 0.3 * (1 - math.exp(-step * (0.01 + 0.02 * place[cell.label]))) + noise

    config = complete_config(raw)
    fabricate(
        config,
        curve,
        seconds_per_step={label: 30.0 + 20 * where for label, where in place.items()},
        passes_per_step={label: 3 for label in labels if label != "grpo"},
        active={label: 200 for label in labels if label != "grpo"},
    )
    for number, cell in enumerate(cells(config)):
        ended = 1.7e9 + SECONDS * (number // AT_A_TIME)
        os.utime(cell.folder / RUN, (ended, ended))


def timed(commands: dict[str, list[str]]) -> dict[str, tuple[float, float]]:
    """Wall seconds, and gigabytes at the most, of commands that run side by side."""
    start = time.perf_counter()
    running = {}
    for name, options in commands.items():
        command = [sys.executable, "-m", "gxpo.cli", name, "config.yaml", *options]
        running[subprocess.Popen(command, stdout=subprocess.DEVNULL).pid] = name
    found = {}
    while running:
        pid, status, usage = os.wait3(0)
        name = running.pop(pid)
        if status:
            raise SystemExit(f"gxpo {name} failed")
        found[name] = (time.perf_counter() - start, usage.ru_maxrss / 2**20)
    return found


def main() -> int:
    missed = 0
    for count in map(int, sys.argv[1:] or ["250", "1000"]):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            make(count)
            made = timed(MADE)
            imported = timed({"mlflow": []})
            size = Path("results/test/report.html").stat().st_size / 2**20
            os.chdir("/")
        for command, (seconds, memory) in (made | imported).items():
            print(f"{count} cells: gxpo {command:8} {seconds:6.1f} s, {memory:.2f} GB", flush=True)
        together = max(seconds for seconds, _ in made.values())
        print(f"{count} cells: tables, report, figures {together:.1f} s; page {size:.1f} MB")
        share = max(1, count / 1000)
        missed += together > BOUND * share or imported["mlflow"][0] > IMPORT_BOUND * share
        missed += sum(memory for _, memory in made.values()) > MEMORY * share or size > PAGE
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
