"""The command ``gxpo doctor``, on a healthy set-up and on one that is broken in one place."""

from pathlib import Path

import pytest
import yaml
from support.small import run

from gxpo.doctor import PROBLEM, services
from gxpo.tracking.live import HTTP


@pytest.fixture
def healthy(raw, monkeypatch, commands):
    """Nothing is wrong: a config file, an answering cluster that takes any job, no MLflow."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(services, "find_spec", lambda _: "there")
    for name in HTTP:
        monkeypatch.setenv(name, "")  # what the command sets is undone after the test
    commands(sinfo="echo 'gpu*|infinite'", sbatch="exit 0", nvidia_smi="exit 9")
    commands(squeue="", scancel="")
    raw["models"]["tiny"]["parameters"] = 0.0001
    Path("config.yaml").write_text(yaml.safe_dump(raw))
    Path("site.yaml").write_text("partition: gpu\n")
    monkeypatch.setenv("GXPO_SITE", str(Path("site.yaml").resolve()))
    return Path("config.yaml")


def test_a_healthy_machine(healthy, monkeypatch, capsys):
    assert run(monkeypatch, "doctor", healthy) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.startswith(PROBLEM)]
    subjects = {line.split()[1] for line in lines[:-1]}
    assert subjects >= {"python", "packages", "GPUs", "results", "scratch", "disk", "problems"}
    assert subjects >= {"model", "Slurm", "job", "MLflow"}
    assert run(monkeypatch, "doctor") == 0  # without a configuration


def test_in_a_job_its_own_machine_is_judged(healthy, monkeypatch, capsys, commands):
    raw = yaml.safe_load(healthy.read_text())
    raw["models"]["tiny"]["resources"] = {"gpu": 1, "mem_gb": 1_000_000}
    healthy.write_text(yaml.safe_dump(raw))
    assert run(monkeypatch, "doctor", healthy) == 0  # on a login node: jobs run elsewhere
    assert "none here, jobs run on other machines" in capsys.readouterr().out
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert run(monkeypatch, "doctor", healthy) == 1
    out = capsys.readouterr().out
    assert "none found (nvidia-smi), a cell needs 1" in out
    assert "warning  memory       tiny is said to need 1e+06 GB" in out


def test_a_problem_is_an_exit_code(healthy, monkeypatch, capsys):
    Path("site.yaml").write_text("partition: gpux\n")
    assert run(monkeypatch, "doctor", healthy) == 1
    out = capsys.readouterr().out
    assert "problem  partition    'gpux' is unknown, known are gpu: mend slurm/site.yaml\n" in out
    assert "1 problem" in out.splitlines()[-1]
    Path("site.yaml").write_text("partitions: gpu\n")
    assert run(monkeypatch, "doctor", healthy) == 2
    assert "partitions: unknown key" in capsys.readouterr().err
