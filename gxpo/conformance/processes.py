"""Two gloo processes on this machine: DDP replicas and DTensor shards against one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gxpo.conformance.robust import TOLERANCE
from gxpo.conformance.subject import Subject, Verdict, Violation, judge
from gxpo.conformance.tiny import TinyRun

KINDS = {"ddp": "works with DDP", "dtensor": "works on DTensor shards (FSDP2)"}
PROCESSES = 2
UPDATES = 12
LIMIT_SECONDS = 600
LOOPBACK = {"linux": "lo", "darwin": "lo0"}  # gloo would look the machine's own name up


def distributed_verdicts(subjects: Sequence[Subject]) -> list[list[Verdict]]:
    """The verdicts of every subject, from one start of the processes (about 10 s on two cores)."""
    jobs = [(subject, kind) for subject in subjects for kind in KINDS]
    with tempfile.TemporaryDirectory() as folder:
        outcomes = _launch(jobs, Path(folder))
    verdicts = [
        judge(KINDS[kind], lambda s, found=found: _compare(s, found), subject)  # type: ignore[misc]
        for (subject, kind), found in zip(jobs, outcomes, strict=True)
    ]
    return [verdicts[i : i + len(KINDS)] for i in range(0, len(verdicts), len(KINDS))]


def _launch(jobs: list[tuple[Subject, str]], folder: Path) -> list[list[dict[str, Any]]]:
    """Of every job, what each process found; nothing where it did not get there."""
    todo = [{**asdict(subject), "kind": kind} for subject, kind in jobs]
    (folder / "jobs.json").write_text(json.dumps(todo), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if sys.platform in LOOPBACK:
        environment.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    command = [sys.executable, "-m", "gxpo.conformance.worker", str(folder)]
    processes = [
        subprocess.Popen([*command, str(rank)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(PROCESSES)
    ]
    try:
        errors = [p.communicate(timeout=LIMIT_SECONDS)[1] for p in processes]
    except subprocess.TimeoutExpired:
        errors = []
    finally:
        for p in processes:
            p.kill()
            p.wait()
    found = [_read(folder, rank, len(jobs)) for rank in range(PROCESSES)]
    if not found[0][0] and errors:  # it did not come as far as the first job
        raise RuntimeError(f"the processes did not start: {errors[0].strip()[-2000:]}")
    return [list(both) for both in zip(*found, strict=True)]


def _read(folder: Path, rank: int, jobs: int) -> list[dict[str, Any]]:
    files = [folder / f"{job}-{rank}.json" for job in range(jobs)]
    return [json.loads(file.read_text("utf-8")) if file.exists() else {} for file in files]


def _compare(subject: Subject, found: list[dict[str, Any]]) -> str:
    for outcome in found:
        if not outcome:
            raise Violation(f"the processes did not finish within {LIMIT_SECONDS} s")
    errors = [outcome["error"] for outcome in found if "error" in outcome]
    if errors:
        raise Violation(f"raised {min(errors, key=lambda e: 'gloo' in e)}")  # the cause first
    first, second = found
    if first["parameters"] != second["parameters"]:
        raise Violation("the processes end at different parameters")
    if json.dumps(first["metrics"]) != json.dumps(second["metrics"]):
        raise Violation("the processes report different diagnostics")
    alone = TinyRun(subject.new())
    start = alone.parameters
    alone.update(UPDATES)
    moved = (alone.parameters - start).norm()
    distance = (torch.tensor(first["parameters"]).to(start) - alone.parameters).norm() / moved
    if not distance <= TOLERANCE:
        raise Violation(f"it ends elsewhere than one process, {distance:.1e} of the way moved")
    if first["cost"] != asdict(alone.cost):
        raise Violation(f"it costs {first['cost']}, in one process {asdict(alone.cost)}")
    return f"{PROCESSES} processes agree, and move the parameters as one does"
