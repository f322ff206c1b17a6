"""Two gloo processes on this machine: DDP replicas and DTensor shards against one process."""

from __future__ import annotations

import json
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
from gxpo.host import environment

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
    """Of every job, what each process found, or the error that kept it from it."""
    todo = [{**asdict(subject), "kind": kind} for subject, kind in jobs]
    (folder / "jobs.json").write_text(json.dumps(todo), encoding="utf-8")
    changes = {"OMP_NUM_THREADS": "1"}
    if sys.platform in LOOPBACK and not environment.read("GLOO_SOCKET_IFNAME"):
        changes["GLOO_SOCKET_IFNAME"] = LOOPBACK[sys.platform]
    variables = environment.child(changes)
    command = [sys.executable, "-m", "gxpo.conformance.worker", str(folder)]
    processes = [
        subprocess.Popen([*command, str(rank)], env=variables, stderr=subprocess.PIPE, text=True)
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
    if errors and not any((folder / f"0-{rank}.json").exists() for rank in range(PROCESSES)):
        raise RuntimeError(f"the processes did not start: {errors[0].strip()[-2000:]}")
    return [
        [_read(folder / f"{job}-{rank}.json", errors[rank : rank + 1]) for rank in range(PROCESSES)]
        for job in range(len(jobs))
    ]


def _read(file: Path, errors: list[str]) -> dict[str, Any]:
    """errors: what the process said at its end, if it came to one."""
    if file.exists():
        return json.loads(file.read_text("utf-8"))  # type: ignore[no-any-return]
    if not errors:
        return {"error": f"the processes did not finish within {LIMIT_SECONDS} s"}
    said = errors[0].strip()[-300:] or "without a word"
    return {"error": f"a process ended before its time: {said}"}


def _compare(subject: Subject, found: list[dict[str, Any]]) -> str:
    errors = [outcome["error"] for outcome in found if "error" in outcome]
    if errors:
        raise Violation(min(errors, key=lambda e: "gloo" in e))  # the cause first
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
