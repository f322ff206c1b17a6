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

PATIENCE = timedelta(seconds=120)  # with a process that is late, or that failed


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
    for i, job in enumerate(json.loads((folder / "jobs.json").read_text(encoding="utf-8"))):
        dist.init_process_group(  # a group a job: one that failed leaves nothing behind
            "gloo", f"file://{folder}/{i}.store", PATIENCE, world_size=PROCESSES, rank=rank
        )
        try:
            outcome = work(job, rank)
        except Exception as error:
            message = " ".join(str(error).split())
            outcome = {"error": f"{type(error).__name__}: {message}"}
        dist.destroy_process_group()
        (folder / f"{i}-{rank}.json").write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
