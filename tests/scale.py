"""How long tables, figures, report and MLflow import take on many finished runs, and their memory.

``python tests/scale.py [CELLS ...]`` makes runs of 300 steps and 60 evaluations up (answers known,
no training), of 5 models, in a temporary folder, and runs the commands on them one after another.
Bounds (1,000 cells, two cores): tables, figures and report 90 s and 2 GB together; the import ten
minutes. Exit code 1 where one is missed.
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
from fabricate import comparison_config, fabricate

from gxpo.config import complete_config

MODELS, SEEDS, STEPS, EVERY = 5, 5, 300, 5
COMMANDS = ("tables", "figures", "report", "mlflow")
BOUNDS = {"tables, figures, report": 90.0, "mlflow": 600.0}  # seconds at 1,000 cells
MEMORY = 2.0  # GB


def make(cells: int) -> None:
    """config.yaml and its finished cells, here."""
    labels = {"grpo": {"method": "grpo"}}
    for i in range(1, cells // (MODELS * SEEDS)):
        k, alpha = (2, 3, 5, 8, 10)[i % 5], round(0.1 * (1 + i // 5), 1)
        labels[f"gxpo-k{k}-a{alpha}"] = {"method": "gxpo", "k": k, "alpha": alpha}
    models = [f"model{i}" for i in range(MODELS)]
    raw = comparison_config(models, labels, range(SEEDS), STEPS, EVERY)
    Path("config.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    place = {label: i / len(labels) for i, label in enumerate(labels)}

    def curve(cell, benchmark, step):
        noise = 0.01 * math.sin(997 * step + 31 * cell.seed + 7 * place[cell.label])
        return 0.3 + 0.3 * (1 - math.exp(-step * (0.01 + 0.02 * place[cell.label]))) + noise

    fabricate(
        complete_config(raw),
        curve,
        seconds_per_step={label: 30.0 + 20 * where for label, where in place.items()},
        passes_per_step={label: 3 for label in labels if label != "grpo"},
        active={label: 200 for label in labels if label != "grpo"},
    )


def timed(command: str) -> tuple[float, float]:
    """Wall seconds, and gigabytes at the most, of one command."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "gxpo.cli", command, "config.yaml"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"gxpo {command} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def main() -> int:
    missed = 0
    for cells in map(int, sys.argv[1:] or ["250", "1000"]):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            make(cells)
            found = {command: timed(command) for command in COMMANDS}
            size = Path("results/test/report.html").stat().st_size / 2**20
            os.chdir("/")
        for command, (seconds, memory) in found.items():
            print(f"{cells} cells: gxpo {command:8} {seconds:6.1f} s, {memory:.2f} GB", flush=True)
        together = sum(found[command][0] for command in COMMANDS[:3])
        print(f"{cells} cells: tables, figures, report {together:.1f} s; report.html {size:.1f} MB")
        share = cells / 1000
        missed += together > BOUNDS["tables, figures, report"] * max(1, share)
        missed += found["mlflow"][0] > BOUNDS["mlflow"] * max(1, share)
        missed += max(memory for _, memory in found.values()) > MEMORY or size > 5
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
