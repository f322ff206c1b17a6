"""One of the processes that gxpo.conformance.processes starts: FOLDER RANK."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from gxpo.conformance.processes import PROCESSES, UPDATES
from gxpo.conformance.subject import Subject
from gxpo.conformance.tiny import TinyPolicy, TinyRun

START = timedelta(minutes=5)  # imports differ in how long they take, on a busy machine by much
PATIENCE = timedelta(seconds=30)  # with a process that has failed


def work(job: dict[str, Any], rank: int) -> dict[str, Any]:
    """One run in two micro-batches; every process holds half of every batch."""
    subject = Subject(job["method"], job["hyperparameters"])
    policy = TinyPolicy()
    model: nn.Module = policy
    if job["kind"] == "ddp":
        model = DistributedDataParallel(policy)
    else:
        fully_shard(policy)
        assert all(isinstance(p, DTensor) for p in policy.parameters())
    process = (rank, PROCESSES)
    run = TinyRun(subject.new(), policy=policy, model=model, micro_batches=2, process=process)
    run.update(UPDATES)
    parameters = run.parameters.tolist()
    return {"parameters": parameters, "metrics": run.metrics, "cost": asdict(run.cost)}


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    _join(folder / "start.store", rank, START)
    dist.barrier()
    dist.destroy_process_group()
    for i, job in enumerate(json.loads((folder / "jobs.json").read_text(encoding="utf-8"))):
        _join(folder / f"{i}.store", rank, PATIENCE)  # a group a job: a failed one leaves nothing
        try:
            outcome = work(job, rank)
        except (Exception, SystemExit) as error:
            message = " ".join(str(error).split())
            outcome = {"error": f"raised {type(error).__name__}: {message}"}
        dist.destroy_process_group()
        (folder / f"{i}-{rank}.json").write_text(json.dumps(outcome), encoding="utf-8")


def _join(store: Path, rank: int, patience: timedelta) -> None:
    dist.init_process_group("gloo", f"file://{store}", patience, world_size=PROCESSES, rank=rank)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
