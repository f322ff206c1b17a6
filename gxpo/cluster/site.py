"""What a job asks a cluster for: the model entry's ``resources``, within the site's limits.

The site is one small file that the user edits (slurm/site.yaml). Nothing here talks to a scheduler.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from gxpo.host import REPOSITORY, UserError, environment, read_yaml, shipped

SITE = shipped("slurm/site.yaml")
# Where a model entry says nothing. A tiny policy takes seconds to minutes, on a processor.
DEFAULT = {"gpu": 0, "mem_gb": 4, "hours": 2}
TINY = {"gpu": 0, "mem_gb": 4, "hours": 0.5}
GROUPED = 8  # warm starts that share a job, in turns; as group-components in the profile

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.,-]*$")]
GpuType = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$")]
Features = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.,&|*()\[\]:-]+$")]
Options = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=:,./@%+ -]*$")]

# Options that Snakemake's plugin sets itself. In `extra` it refuses them where nobody sees it: no
# job is submitted, and Snakemake waits for ever. And a few that would break its jobs.
SET_OTHERWISE = {
    "use the key constraint": "--constraint -C",
    "use the key qos": "--qos -q",
    "use the key account": "--account -A",
    "use the keys partition and cpu_partition": "--partition -p",
    "use resources.mem_gb of the model": "--mem --mem-per-cpu",
    "use resources.hours of the model": "--time -t",
    "use resources.gpu of the model and the key gpu_type": "--gpus -G --gres",
    "use threads of the model": "--cpus-per-task -c --cpus-per-gpu",
    "a job is one task on one node": "--ntasks -n --ntasks-per-gpu --nodes -N --array",
    "Snakemake sets it": "--job-name -J --output -o --error -e --parsable --export --comment "
    "--workdir --chdir -D --clusters -M --wrap",
    "Snakemake in the job would end before training has stopped": "--signal",
    "the job would never start": "--hold",
}


class Site(BaseModel):
    """A cluster's settings; slurm/site.yaml explains each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: Name | None = None
    cpu_partition: Name | None = None
    account: Name | None = None
    gpu_type: GpuType | None = None
    constraint: Features | None = None
    qos: Name | None = None
    extra: Options = ""
    walltime_scale: float = Field(default=1.0, gt=0)
    max_hours: float | None = Field(default=None, gt=0)
    max_mem_gb: float | None = Field(default=None, gt=0)
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    scratch: Path | None = None
    setup: list[str] = []

    @field_validator("extra")
    @classmethod
    def _leaves_the_plugins_options_alone(cls, extra: str) -> str:
        for instead, options in SET_OTHERWISE.items():
            for option in options.split():
                if re.search(_pattern(option), extra):
                    raise ValueError(f"{option} is not allowed here: {instead}")
        return extra

    @property
    def setup_commands(self) -> str:
        """What a job's shell runs first. Module systems read unset variables."""
        return "\n".join(["set +u", *self.setup, "set -u", ""]) if self.setup else ""


def use_site() -> Site:
    """The settings of slurm/site.yaml, or of the file that GXPO_SITE names: absolute, or relative
    to the repository (of a wheel: to the working directory). Its ``scratch`` gets the hub's cache,
    unless HF_HOME says where that is: to be called before anything imports the hub's library,
    which a method's file may do.

    Raises UserError."""
    named = environment.read("GXPO_SITE")
    path = (REPOSITORY or Path.cwd()) / named if named else SITE
    if named and not path.is_file():
        raise UserError(f"GXPO_SITE is {named!r}: there is no file {path}")
    site = read_site(path)
    if site.scratch:
        environment.default("HF_HOME", str(site.scratch / "huggingface"))
    return site


def _pattern(option: str) -> str:
    """What finds an option of sbatch; no less than the plugin finds, which looks inside words."""
    if option.startswith("--"):
        return rf"{option}(?![\w-])"
    return option if option == "-J" else rf"(^|\s){option}|{option}\s"


def read_site(path: Path) -> Site:
    """The settings in a YAML file; a file that is not there sets none. Raises UserError."""
    if not path.exists():
        return Site()
    try:
        return Site.model_validate(read_yaml(path) or {})
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, wrong["loc"]))
        if wrong["type"] == "extra_forbidden":
            message = f"unknown key, allowed are {', '.join(Site.model_fields)}"
        else:
            message = f"{wrong['msg']} (got {wrong['input']!r})"
        raise UserError(f"{path}: {key or 'top level'}: {message}") from error


def request(
    site: Site, model_entry: dict[str, Any], stage: str, attempt: int = 1
) -> dict[str, Any]:
    """What a job of ``stage`` (warmstart, train, evaluate, surrogate) asks for, by name.

    mem_mb and runtime (minutes) grow with ``attempt`` (1, 2, ...), up to the site's limits: memory
    by half of itself each time, runtime by all of itself. Strings are empty where the cluster's
    default is meant. Evaluation and surrogate are one process, on one GPU at most; a warm
    start needs none. The model's ``threads`` are those of a process, of which there is one per GPU.

    Raises UserError where training would stop for its walltime as soon as it has started.
    """
    made_here = "architecture" in model_entry
    asked = (TINY if made_here else DEFAULT) | model_entry.get("resources", {})
    most = {"train": asked["gpu"], "evaluate": 1, "surrogate": 1, "warmstart": 0}[stage]
    gpu = min(asked["gpu"], most)
    hours = asked["hours"] * site.walltime_scale * attempt
    longest = site.max_hours or math.inf
    if stage == "warmstart":
        longest /= GROUPED  # the group asks for the sum
    runtime = max(1, math.floor(60 * min(hours, longest)))
    if stage == "train" and runtime <= site.checkpoint_minutes:
        raise UserError(
            f"a training job of {runtime} minutes (resources.hours times walltime_scale, at most "
            f"max_hours) would stop after a step: it must be longer than "
            f"checkpoint_minutes = {site.checkpoint_minutes:g} of the site"
        )
    mem_gb = asked["mem_gb"] * (1 + (attempt - 1) / 2)
    partition = site.partition if gpu else site.cpu_partition or site.partition
    asked_for = {
        "gpu": gpu,
        "gpu_model": (site.gpu_type or "") if gpu else "",
        "tasks_per_gpu": 0,  # a job is one task, which starts what processes it needs
        "cpus_per_task": model_entry.get("threads", 1) * max(1, gpu),
        "mem_mb": round(1000 * min(mem_gb, site.max_mem_gb or math.inf)),
        "runtime": runtime,
        "slurm_partition": partition or "",
        "slurm_account": site.account or "",
        "slurm_extra": site.extra,
    }
    # An empty one of these would be passed to sbatch as it is.
    named = {"constraint": site.constraint, "qos": site.qos}
    return asked_for | {key: value for key, value in named.items() if value}
