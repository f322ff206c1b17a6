"""What is asked of Slurm, with stand-ins for its commands; several processes; the time limit."""

import json
import os
import signal
import sys

import pytest

from gxpo.interrupt import StopRequest
from gxpo.launch import CONFIGURATIONS, launch, launch_command
from gxpo.slurm import end_orphans, parse_time, seconds_left


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


def test_the_jobs_of_a_killed_snakemake_are_ended_once(slurm, tmp_path):
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
        launch(4, "fsdp2", [])
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen["environment"]["OMP_NUM_THREADS"] == "3"
    assert json.dumps(dict(seen["environment"]))  # plain strings
