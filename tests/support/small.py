"""Where the repository is, the command run in this process, and a configuration of seconds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


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


def run(monkeypatch, *arguments):
    """Exit code of ``gxpo *arguments``."""
    from gxpo import cli

    monkeypatch.setattr("sys.argv", ["gxpo", *map(str, arguments)])
    before = dict(os.environ)  # the command makes it its own
    try:
        with pytest.raises(SystemExit) as exit_:
            cli.main()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return exit_.value.code or 0
