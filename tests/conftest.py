"""Shared fixtures: tiny policies and cells, and a working directory of each test's own."""

import os
import signal
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="gxpo-tests-")  # of gxpo.host.hashing
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("DISABLE_MLFLOW_INTEGRATION", "TRUE")
os.environ["MPLBACKEND"] = "Agg"

from pathlib import Path

from gxpo.host import arithmetic

arithmetic.pin(arithmetic.PORTABLE)  # as the commands do: what is expected is so on any processor

import hypothesis
import pytest
import torch

# Their asserts, too, say what differs.
pytest.register_assert_rewrite("support")

# No test depends on how fast the machine is.
hypothesis.settings.register_profile("gxpo", deadline=None)
hypothesis.settings.load_profile("gxpo")

torch.set_num_threads(1)

# A shell's background job ignores Ctrl-C, and so would what is tested and the processes it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory) -> Path:
    """A Qwen2 policy warm-started just enough to be right now and then: rewards vary."""
    from gxpo.policy.warmstart import warmstart

    folder = tmp_path_factory.mktemp("policy") / "tiny"
    warmstart("qwen2", folder, steps=220)
    return folder


@pytest.fixture
def workdir(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Puts shell scripts first on the PATH: commands(sinfo="echo gpu")."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder) + os.pathsep + os.environ["PATH"])

    def make(**scripts):
        for name, script in scripts.items():
            (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name.replace("_", "-")).chmod(0o755)

    return make
