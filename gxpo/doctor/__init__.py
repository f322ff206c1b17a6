"""``gxpo doctor``: what would stop a run on this machine or cluster, found before it starts.

Each module holds a group of checks: functions that look and return findings, and change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gxpo.cluster import Site
from gxpo.doctor import inputs, machine, services, software
from gxpo.doctor.finding import OK, PROBLEM, WARNING, Finding
from gxpo.host import environment

__all__ = ["OK", "PROBLEM", "WARNING", "Finding", "examine"]


def examine(config: dict[str, Any] | None, site: Site) -> Iterator[Finding]:
    """All findings, as they come; those that depend on ``config`` (completed) only with one."""
    # Inside a job this machine is the one that is asked about.
    cluster = services.slurm_answers() and not environment.read("SLURM_JOB_ID")
    yield software.python()
    yield from software.packages()
    yield machine.cuda(machine.gpus(), needed=_most_gpus(config), elsewhere=cluster)
    yield from machine.writable_folders(site)
    if config is not None:
        yield from software.optional_packages(config)
        if not cluster:
            yield from machine.memory(config, machine.gpus())
        yield machine.numerics(config, cluster)
        yield machine.disk(config)
        yield inputs.problems(config)
        yield from inputs.models(config)
        yield from inputs.unusable(config)
    yield from services.slurm(config, site)
    yield services.mlflow()


def _most_gpus(config: dict[str, Any] | None) -> int:
    entries = config["models"].values() if config else ()
    return max((entry.get("resources", {}).get("gpu", 0) for entry in entries), default=0)
