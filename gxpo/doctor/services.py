"""What answers over a network: Slurm, MLflow."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from gxpo.doctor.finding import OK, PROBLEM, WARNING, Finding
from gxpo.live import tracking_server
from gxpo.redaction import redact
from gxpo.site import Site, request
from gxpo.slurm import ANSWER_SECONDS

PLUGIN = "snakemake_executor_plugin_slurm"
PARTITIONS = ("sinfo", "--noheader", "--format=%R")


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
            yield Finding(OK, "Slurm", "none here: snakemake --cores N runs on this machine")
        return
    code, answer = _run(*PARTITIONS)
    if code:
        level = WARNING if site == Site() else PROBLEM
        text = f"does not answer ({answer[:200]}): snakemake --profile slurm would fail"
        yield Finding(level, "Slurm", f"{text}; see `sinfo`, ask the cluster's administrators")
        return
    known = sorted(set(answer.split()))
    if find_spec(PLUGIN) is None:
        yield Finding(PROBLEM, "Slurm", "Snakemake's plugin is missing: pip install 'gxpo[slurm]'")
    asked = {site.partition, site.cpu_partition} - {None}
    unknown = sorted(name for part in asked for name in str(part).split(",") if name not in known)
    for name in unknown:
        text = f"{name!r} is unknown, known are {', '.join(known)}: mend slurm/site.yaml"
        yield Finding(PROBLEM, "partition", text)
    if not unknown:
        names = ", ".join(sorted(map(str, asked))) or "the cluster's default"
        yield Finding(OK, "Slurm", f"answers; partition: {names} of {', '.join(known)}")
        yield from _jobs(config, site)


def _jobs(config: dict[str, Any] | None, site: Site) -> Iterator[Finding]:
    """Would Slurm take each model's training jobs? Asked with --test-only: nothing is queued."""
    for label, entry in (config["models"] if config else {}).items():
        asked = request(site, entry, "train")
        options = [f"--cpus-per-task={asked['cpus_per_task']}", f"--mem={asked['mem_mb']}M"]
        options += [f"--time={asked['runtime']}", "--ntasks=1", *asked["slurm_extra"].split()]
        if asked["gpu"]:
            kind = f"{asked['gpu_model']}:" if asked["gpu_model"] else ""
            options.append(f"--gpus={kind}{asked['gpu']}")
        for name in ("partition", "account"):
            if asked[f"slurm_{name}"]:
                options.append(f"--{name}={asked[f'slurm_{name}']}")
        code, answer = _run("sbatch", "--test-only", *options, "--wrap=true")
        what = f"{label}: {' '.join(options)}"
        if code:
            remedy = "mend slurm/site.yaml, or resources of the model"
            yield Finding(PROBLEM, "job", f"{what}: {answer}: {remedy}")
        else:
            yield Finding(OK, "job", what)


def mlflow() -> Finding:
    """The server that MLFLOW_TRACKING_URI names answers, and accepts the credentials."""
    named, server = os.environ.get("MLFLOW_TRACKING_URI", ""), tracking_server()
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
