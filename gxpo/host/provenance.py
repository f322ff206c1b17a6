"""Where a number came from: versions, commit, hardware."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gxpo.host.shipped import REPOSITORY

CODE = ("gxpo", "methods", "workflow", "Snakefile")
PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "vllm", "lm-eval", "math-verify")


def versions() -> dict[str, str]:
    """Python and the packages a result depends on; those that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The suite's commit, with ``+changes`` where its code differs; None outside git. A user's own
    files beside it and edited configurations change no code, and are recorded themselves."""
    if REPOSITORY is None:  # a wheel: the folder it is installed in may be of another repository
        return None
    try:
        commit = _git(REPOSITORY, "rev-parse", "HEAD")
        changed = _git(REPOSITORY, "status", "--porcelain", "--untracked-files=no", "--", *CODE)
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def hardware() -> dict[str, Any]:
    """Processor, threads and accelerators of this process."""
    import torch  # three seconds, which most of what imports this package need not wait

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
