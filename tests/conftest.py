"""Shared fixtures: tiny policies and cells, and a working directory of each test's own."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("DISABLE_MLFLOW_INTEGRATION", "TRUE")

from pathlib import Path

import hypothesis
import pytest
import torch

# No test depends on how fast the machine is.
hypothesis.settings.register_profile("gxpo", deadline=None)
hypothesis.settings.load_profile("gxpo")

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory) -> Path:
    """A Qwen2 policy warm-started just enough to be right now and then: rewards vary."""
    from gxpo.warmstart import warmstart

    folder = tmp_path_factory.mktemp("policy") / "tiny"
    warmstart("qwen2", folder, steps=220)
    return folder


@pytest.fixture
def workdir(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small_config(policy: Path, **changes) -> dict:
    """A raw configuration that trains in seconds; ``changes`` replace top-level keys."""
    return {
        "name": "test",
        "seeds": [0],
        "models": {"tiny": {"path": str(policy)}},
        "methods": {"grpo": {"method": "grpo"}},
        "train": {
            "problems": "synthetic/train",
            "steps": 6,
            "completions_per_step": 16,
            "num_generations": 4,
            "max_completion_length": 16,
            "learning_rate": 1e-3,
        },
        "evaluate": {
            "every": 2,
            "benchmarks": {"words": {"problems": "synthetic/test", "limit": 12, "samples": 3}},
            "selection": {"problems": "synthetic/selection", "limit": 8, "samples": 2},
        },
        **changes,
    }


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


def run(monkeypatch, *arguments):
    """Exit code of ``gxpo *arguments``."""
    from gxpo import cli

    monkeypatch.setattr("sys.argv", ["gxpo", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code or 0
