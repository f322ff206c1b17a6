"""What is asked of Slurm, with stand-ins for its commands; several processes; the time limit."""

import json
import os
import signal
import subprocess
import sys

import pytest
import yaml
from support.small import ROOT, small_config

from gxpo.cells import sole_worker
from gxpo.cluster import account_problem, parse_time, seconds_left
from gxpo.cluster.launch import CONFIGURATIONS, launch_cell, launch_command
from gxpo.cluster.slurm import end_orphans
from gxpo.host import UserError
from gxpo.training.interrupt import StopRequest


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins for squeue and scancel that note their arguments; returns (answer with, calls)."""
    calls = tmp_path / "calls"
    calls.touch()

    def answer(text):
        for name in ("squeue", "scancel"):
            command = tmp_path / name
            # a queue is empty after scancel
            command.write_text(
                f'#!/bin/sh\nif [ {name} = squeue ] && ! grep -q "^scancel" {calls}; then '
                f'echo "{text}"; fi\necho "{name} $*" >> {calls}\n'
            )
            command.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return answer, lambda: calls.read_text().splitlines()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("59", 59),
        ("1:30", 90),
        ("2:00:05", 7205),
        ("1-00:00:00", 86400),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_times_as_squeue_writes_them(text, seconds):
    assert parse_time(text) == seconds


def test_the_time_left_is_that_of_the_own_job(slurm, monkeypatch, capsys):
    answer, calls = slurm
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    answer("12:00")
    assert seconds_left() is None
    assert calls() == []
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert seconds_left() == 720
    assert calls() == ["squeue --noheader --jobs=17 --format=%L"]
    answer("UNLIMITED")
    assert seconds_left() is None
    assert capsys.readouterr().err == ""
    answer("slurm_load_jobs error")
    assert seconds_left() is None
    assert "the walltime of Slurm job 17 is not known" in capsys.readouterr().err


def test_the_jobs_of_a_killed_snakemake_are_ended_once(slurm, tmp_path, capsys):
    answer, calls = slurm
    answer("1 RUNNING")
    record, first = tmp_path / "record", tmp_path / "first.log"
    first.write_text("...\nSLURM run ID: ab-12\nmore\n")
    end_orphans(record, [str(first)])  # the first one ever: none before it
    assert calls() == []
    end_orphans(record, [str(tmp_path / "second.log")])
    assert "scancel --name=ab-12" in calls()
    before = len(calls())
    end_orphans(record, [])  # the second one's log is not there
    assert len(calls()) == before
    assert (
        "second.log is gone: if the snakemake that wrote it was killed" in capsys.readouterr().err
    )


def test_jobs_that_may_still_run_are_not_forgotten(slurm, tmp_path, monkeypatch):
    record, first = tmp_path / "record", tmp_path / "first.log"
    first.write_text("SLURM run ID: ab-12\n")
    before = f"{first}\n"
    record.write_text(before)
    (tmp_path / "squeue").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    with pytest.raises(UserError, match=r"squeue --name=ab-12 does not answer: .* delete .*record"):
        end_orphans(record, ["second.log"])
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))  # no Slurm here
    with pytest.raises(UserError, match="does not answer"):
        end_orphans(record, ["second.log"])
    assert record.read_text() == before
    record.unlink()
    end_orphans(record, ["second.log"])  # nothing was ever submitted
    assert record.read_text() == "second.log\n"


def test_jobs_that_do_not_end_are_not_forgotten(slurm, tmp_path, monkeypatch):
    answer, _ = slurm
    answer("1 COMPLETING")
    (tmp_path / "scancel").write_text("#!/bin/sh\n")  # it stays in the queue
    monkeypatch.setattr("gxpo.cluster.slurm.END_SECONDS", -1)
    record, first = tmp_path / "record", tmp_path / "first.log"
    first.write_text("SLURM run ID: ab-12\n")
    record.write_text(f"{first}\n")
    with pytest.raises(UserError, match="have not ended"):
        end_orphans(record, ["second.log"])
    assert record.read_text() == f"{first}\n"


def test_a_snakemake_beside_another_on_the_same_results_touches_nothing(slurm, tmp_path):
    """A side target has other outputs, so Snakemake's own lock would let it pass."""
    answer, calls = slurm
    answer("1 RUNNING")
    config = small_config(tmp_path, models={"tiny": {"architecture": "qwen2"}})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    results, log = tmp_path / "results" / "test", tmp_path / "first.log"
    log.write_text("SLURM run ID: ab-12\n")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--cores", "1", "surrogate", "--directory", str(tmp_path)]
    command += ["--configfile", "config.yaml"]
    with sole_worker(results, "snakemake"):
        (results / "snakemake-logs.txt").write_text(f"{log}\n")
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    said = f"results/test is taken by snakemake, process {os.getpid()} on"
    assert len([x for x in done.stderr.splitlines() if said in x]) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert calls() == []  # the jobs of the other go on
    assert (results / "snakemake-logs.txt").read_text() == f"{log}\n"
    assert sorted(path.name for path in results.iterdir()) == ["lock", "snakemake-logs.txt"]


def test_accounts_that_the_plugin_would_not_submit_under(commands, monkeypatch):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    commands(sacctmgr="printf 'physics\\nchemistry\\n'", sshare="exit 1")
    assert account_problem("physics") is None
    assert account_problem("chemistry,physics") is None
    assert "math appears to be invalid" in account_problem("physics,math")
    commands(sacctmgr="echo 'no database' >&2; exit 1")  # a cluster without accounting has none
    assert "no database" in account_problem("physics")
    monkeypatch.setenv("PATH", "/nowhere")
    assert account_problem("physics") == "sacctmgr, which lists the accounts, is not installed"


def test_time_is_up_like_a_signal():
    with StopRequest(0.0) as request:
        while request.received is None:
            signal.pause()
    assert request.received == "the end of its walltime"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_launchers_command(monkeypatch):
    arguments = ["train", "c.yaml", "--label", "a b"]
    command = launch_command(4, "ddp", arguments)
    assert command[:3] == [sys.executable, "-m", "accelerate.commands.launch"]
    assert command[command.index("--config_file") + 1] == str(CONFIGURATIONS / "ddp.yaml")
    assert command[command.index("--num_processes") + 1] == "4"
    assert command[-4:] == arguments  # no shell in between
    assert all((CONFIGURATIONS / f"{name}.yaml").is_file() for name in ("ddp", "fsdp2"))


def test_the_launcher_ignores_usr1_and_shares_the_threads(monkeypatch):
    seen = {}
    monkeypatch.setattr(os, "execve", lambda *given: seen.update(environment=given[2]))
    monkeypatch.setenv("OMP_NUM_THREADS", "12")
    before = signal.getsignal(signal.SIGUSR1)
    try:
        launch_cell(4, "fsdp2", [])
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen["environment"]["OMP_NUM_THREADS"] == "3"
    assert json.dumps(dict(seen["environment"]))  # plain strings
