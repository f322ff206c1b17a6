"""What answers over a network: Slurm, MLflow."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from gxpo.cluster import (
    ANSWER_SECONDS,
    GROUPED,
    Site,
    account_problem,
    parse_time,
    request,
    submission_problem,
)
from gxpo.doctor.finding import OK, PROBLEM, WARNING, Finding
from gxpo.host import UserError, environment, redact
from gxpo.tracking.live import tracking_server

PLUGIN = "snakemake_executor_plugin_slurm"
PARTITIONS = ("sinfo", "--noheader", "--format=%P|%l")
DEFAULT = "*"  # Slurm's mark of the default partition
RETRIES = 3  # as in slurm/config.yaml
LOOKS_APART = 180  # seconds at most, of the plugin's looks at the queue


def slurm_answers() -> bool:
    """Whether jobs can go to a cluster from here."""
    return _run(*PARTITIONS)[0] == 0


def slurm(config: dict[str, Any] | None, site: Site) -> Iterator[Finding]:
    """The controller answers, knows the site's partitions, and would take the jobs."""
    if shutil.which("sinfo") is None:
        if site != Site():
            text = "slurm/site.yaml has settings, but there is no sinfo here: use a login node"
            yield Finding(WARNING, "Slurm", text)
        else:
            text = "none here, --profile slurm is refused: snakemake --cores N runs on this machine"
            yield Finding(OK, "Slurm", text)
        return
    code, answer = _run(*PARTITIONS)
    if code:
        level = WARNING if site == Site() else PROBLEM
        text = f"does not answer ({answer[:200]}): snakemake --profile slurm would fail"
        yield Finding(level, "Slurm", f"{text}; see `sinfo`, ask the cluster's administrators")
        return
    if problem := submission_problem():
        yield Finding(PROBLEM, "Slurm", problem)
    limits = _limits(answer)
    known = ", ".join(sorted(limits.keys() - {DEFAULT}))
    if find_spec(PLUGIN) is None:
        yield Finding(PROBLEM, "Slurm", "Snakemake's plugin is missing: pip install -e '.[slurm]'")
    yield from _forgetful()
    asked = {part for part in (site.partition, site.cpu_partition) if part}
    unknown = sorted(name for part in asked for name in part.split(",") if name not in limits)
    for name in unknown:
        text = f"{name!r} is unknown, known are {known}: mend slurm/site.yaml"
        yield Finding(PROBLEM, "partition", text)
    if site.account and find_spec(PLUGIN) and (problem := account_problem(site.account)):
        yield Finding(PROBLEM, "account", f"{problem}: mend slurm/site.yaml")
    if not unknown:
        names = ", ".join(sorted(asked)) or "the cluster's default"
        yield Finding(OK, "Slurm", f"answers; partition: {names} (of {known})")
        yield from _jobs(config, site, limits)


def _forgetful() -> Iterator[Finding]:
    """Slurm shows a job long enough after its end for Snakemake's plugin to see that it ended."""
    shown = _run("scontrol", "show", "config")[1]
    age = re.search(r"^MinJobAge\s*=\s*(\d+) sec", shown, re.MULTILINE)
    if age is not None and int(age[1]) <= LOOKS_APART:
        text = (
            f"MinJobAge is {age[1]} s, Snakemake looks every {LOOKS_APART} s at worst: it may miss "
            "the end of a job, and wait: then Ctrl-C and start again; ask for a MinJobAge of 300"
        )
        yield Finding(WARNING, "Slurm", text)


def _limits(answer: str) -> dict[str, float]:
    """Partition -> longest walltime, minutes; the default one also under ``DEFAULT``."""
    limits = {}
    for line in answer.split():
        name, _, time = line.partition("|")
        seconds = parse_time(time)
        minutes = math.inf if seconds is None else seconds / 60
        limits[name.rstrip("*")] = minutes
        if name.endswith("*"):
            limits[DEFAULT] = minutes
    return limits


def _jobs(config: dict[str, Any] | None, site: Site, limits: dict[str, float]) -> Iterator[Finding]:
    """Whether Slurm would take each model's jobs, the first attempt and the last retry, which asks
    for more. Nothing is queued."""
    models = config["models"] if config else {}
    group = min(GROUPED, sum("architecture" in entry for entry in models.values()))
    for label, entry in models.items():
        if refusal := _first_refusal(site, entry, 1, group, limits):
            remedy = "mend slurm/site.yaml, or resources of the model"
            yield Finding(PROBLEM, "job", f"{label}: {refusal}: {remedy}")
        elif refusal := _first_refusal(site, entry, 1 + RETRIES, group, limits):
            remedy = "set max_hours and max_mem_gb in slurm/site.yaml"
            yield Finding(WARNING, "job", f"{label}, retry {RETRIES}: {refusal}: {remedy}")
        else:
            yield Finding(OK, "job", f"{label}: Slurm would take it")


def _first_refusal(
    site: Site, entry: dict[str, Any], attempt: int, group: int, limits: dict[str, float]
) -> str | None:
    """Why one of a model's jobs would not run, or None. group: warm starts that share a job."""
    for stage in ("train", "evaluate", *(["warmstart"] if "architecture" in entry else [])):
        try:
            asked = request(site, entry, stage, attempt)
        except UserError as error:
            return str(error)
        if stage == "warmstart":  # they take turns, and the job asks for the time of all
            asked["runtime"] *= group
        if refusal := _refusal(asked, limits):
            return f"{stage}: {refusal}"
    return None


def _refusal(asked: dict[str, Any], limits: dict[str, float]) -> str | None:
    """Why a job would not run, or None. sbatch takes one that is too long, and lets it wait for
    ever."""
    partitions = (asked["slurm_partition"] or DEFAULT).split(",")
    longest = max(limits.get(name, math.inf) for name in partitions)
    if asked["runtime"] > longest:
        return f"it asks for {asked['runtime']} minutes, the partition allows {longest:g}"
    options = [f"--cpus-per-task={asked['cpus_per_task']}", f"--mem={asked['mem_mb']}M"]
    options += [f"--time={asked['runtime']}", "--ntasks=1", *asked["slurm_extra"].split()]
    if asked["gpu"]:
        kind = f"{asked['gpu_model']}:" if asked["gpu_model"] else ""
        options.append(f"--gpus={kind}{asked['gpu']}")
    names = ("slurm_partition", "slurm_account", "constraint", "qos")
    named = {name.removeprefix("slurm_"): asked.get(name) for name in names}
    options += [f"--{name}={value}" for name, value in named.items() if value]
    code, answer = _run("sbatch", "--test-only", *options, "--wrap=true")
    return f"sbatch {' '.join(options)}: {answer}" if code else None


def mlflow() -> Finding:
    """The server that MLFLOW_TRACKING_URI names answers, and accepts the credentials."""
    named, server = environment.read("MLFLOW_TRACKING_URI"), tracking_server()
    if server is None:
        if named:
            text = f"MLFLOW_TRACKING_URI is {redact(named)}, no http(s) server: it is not used"
            return Finding(WARNING, "MLflow", f"{text}; runs go to results/mlflow.db")
        return Finding(OK, "MLflow", "no server: runs go to results/mlflow.db")
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        MlflowClient(server).search_experiments(max_results=1)
    except (MlflowException, OSError) as error:
        reason = redact(" ".join(str(error).split())[:200])
        remedy = "start it, or unset MLFLOW_TRACKING_URI; training goes on without it"
        return Finding(PROBLEM, "MLflow", f"{redact(server)}: {reason}: {remedy}")
    return Finding(OK, "MLflow", f"{redact(server)} answers")


def _run(*command: str) -> tuple[int, str]:
    """Exit code and what was printed, on a line."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except FileNotFoundError:
        return 127, f"{command[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 1, f"no answer in {ANSWER_SECONDS} s"
    if done.returncode:
        return done.returncode, " ".join((done.stderr or done.stdout).split()) or "failed"
    return 0, done.stdout.strip()
