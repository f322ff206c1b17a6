"""Snakemake with the Slurm profile: a dry run, and stand-ins for Slurm's commands."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from support.sites import BIG, TINY, site_file
from support.small import ROOT, small_config

from gxpo.config import complete_config


def test_the_profile_asks_for_what_the_models_say(tmp_path, tiny_policy):
    """snakemake --profile slurm, dry: no Slurm is needed for it."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    shutil.copytree(tiny_policy, tmp_path / "policy")
    entry = {"path": str(tmp_path / "policy"), "resources": BIG["resources"], "threads": 3}
    config = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    config |= {"seeds": [0], "models": {"big": entry, "tiny": TINY}}
    rows = [f'{{"id": {i}, "problem": "1 + {i}", "answer": 2}}\n' for i in range(8)]
    (tmp_path / "train.jsonl").write_text("".join(rows))
    config["train"] |= {"problems": str(tmp_path / "train.jsonl"), "micro_batch_size": 16}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    site = site_file(tmp_path, "{partition: main, max_hours: 30}")
    command = [sys.executable, "-m", "snakemake", "-n", "--profile", "slurm"]
    command += ["all", "surrogate"]
    command += ["--configfile", str(tmp_path / "config.yaml"), "--directory", str(tmp_path)]
    environment = os.environ | {"GXPO_SITE": str(site)}
    dry = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert dry.returncode == 0, dry.stderr
    jobs = [" ".join(block.split()) for block in (dry.stdout + dry.stderr).split("rule ")]
    big = [job for job in jobs if job.startswith("train:") and "model=big" in job]
    assert len(big) == 3
    asked = ("gpu=4", "cpus_per_task=12", "mem_mb=96000", "runtime=1800", "slurm_partition=main")
    assert [text for text in asked if not all(text in job for job in big)] == []
    (surrogate,) = [job for job in jobs if job.startswith("surrogate:")]  # of the first model
    assert f"input: {tmp_path}/policy, {tmp_path}/train.jsonl" in surrogate
    assert "gpu=1" in surrogate
    assert "runtime=1800" in surrogate
    assert "slurm_partition=main" in surrogate


def test_a_job_asks_for_the_sites_features_and_reads_what_was_submitted(tmp_path, monkeypatch):
    """With a stand-in for sbatch, which notes what it was given and refuses."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    (tmp_path / "sbatch").write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$(dirname "$0")/asked"; exit 1\n'
    )
    for name in ("squeue", "scancel", "sacct", "scontrol"):
        (tmp_path / name).write_text("#!/bin/sh\n")
    for name in ("sbatch", "squeue", "scancel", "sacct", "scontrol"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    site = site_file(tmp_path, "{partition: main, constraint: a&b, qos: low}")
    monkeypatch.setenv("GXPO_SITE", str(site))
    raw = small_config(tmp_path, models={"tiny": TINY})
    resolved = tmp_path / "results" / "test" / "config.yaml"
    resolved.parent.mkdir(parents=True)
    resolved.write_text(yaml.safe_dump(complete_config(raw)))  # as onstart does, a hook
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw))

    snakemake = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--no-hooks"]
    snakemake += ["--retries", "0", "--until", "warmstart", "--directory", str(tmp_path)]
    snakemake += ["--configfile", str(tmp_path / "config.yaml")]
    done = subprocess.run(snakemake, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode != 0
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[asked.index("-C") + 1] == "a&b"
    assert "--qos=low" in asked

    # The user goes on editing, and the job starts.
    (tmp_path / "config.yaml").write_text("name: [half save")
    (job,) = [text.removeprefix("--wrap=") for text in asked if text.startswith("--wrap=")]
    job = re.sub(r"--wait-for-files '.*?'", "", job)  # of the Snakemake that has ended
    started = subprocess.run(
        ["bash", "-c", f"{job} --dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert started.returncode == 0, started.stderr
    assert "rule warmstart:" in started.stdout + started.stderr


def test_an_account_that_is_not_the_users_ends_the_run_before_its_first_job(
    tmp_path, monkeypatch, commands
):
    """The plugin would refuse it job by job, unseen, and Snakemake wait for ever."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    commands(sinfo="echo main", sbatch=f"touch {tmp_path}/submitted", squeue="", scancel="")
    commands(sacct="", scontrol="")
    commands(sacctmgr="printf 'physics\\n'")
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(small_config(tmp_path, models={"tiny": TINY}))
    )
    monkeypatch.setenv("GXPO_SITE", str(site_file(tmp_path, "{partition: main, account: math}")))
    snakemake = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--until", "warmstart"]
    snakemake += ["--directory", str(tmp_path), "--configfile", str(tmp_path / "config.yaml")]
    done = subprocess.run(snakemake, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode != 0
    said = "account of the site: The given account math appears to be invalid."
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "submitted").exists()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo 'Unable to contact slurm controller' >&2; exit 1", "Unable to contact slurm contr"),
        (None, "there is no sbatch here, which --profile slurm needs"),
    ],
)
def test_without_a_slurm_that_answers_the_profile_ends_at_once(
    tmp_path, monkeypatch, commands, answer, said
):
    """The plugin would try job by job, unseen, and Snakemake wait for ever, through SIGTERM too."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    commands(sinfo=answer or "echo main", squeue="", scancel="", sacct="", scontrol="")
    if answer:
        commands(sbatch=f"touch {tmp_path}/submitted")
    else:  # nothing of Slurm's but what stands in the folder of stand-ins
        for name in ("bash", "sh", "tee", "git", "which", "env"):
            (tmp_path / "commands" / name).symlink_to(shutil.which(name))
        monkeypatch.setenv("PATH", str(tmp_path / "commands"))
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(small_config(tmp_path, models={"tiny": TINY})))
    monkeypatch.setenv("GXPO_SITE", str(site_file(tmp_path, "{partition: main}")))
    snakemake = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--until", "warmstart"]
    snakemake += ["--directory", str(tmp_path), "--configfile", str(file)]
    done = subprocess.run(snakemake, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode != 0
    assert said in done.stderr
    assert "or snakemake --cores N on this machine" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "submitted").exists()
