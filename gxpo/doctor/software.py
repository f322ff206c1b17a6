"""Python and packages, against what the suite requires and what it was tested with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from gxpo.doctor.finding import OK, PROBLEM, WARNING, Finding
from gxpo.host import REPOSITORY, shipped
from gxpo.host.extras import missing

LOCK = shipped("envs/constraints.txt")
SUPPORTED = ((3, 11), (3, 13))  # from, and before; as in pyproject.toml
INSTALL = f"pip install -c {LOCK} " + ("-e '.[suite]'" if REPOSITORY else "'gxpo[suite]'")


def python(found: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    text = ".".join(map(str, found))
    low, high = (".".join(map(str, limit)) for limit in SUPPORTED)
    if SUPPORTED[0] <= found[:2] < SUPPORTED[1]:
        return Finding(OK, "python", text)
    return Finding(PROBLEM, "python", f"{text}: install one from {low} on and before {high}")


def packages(lock: Path = LOCK) -> Iterator[Finding]:
    """What gxpo requires is there in the versions it allows; what else the lock names is as there,
    if it is installed."""
    if not lock.exists():
        yield Finding(WARNING, "packages", f"{lock} is missing: versions are not compared")
        return
    pinned = _pinned(lock)
    broken = list(_broken_requirements(pinned))
    for text in broken:
        yield Finding(PROBLEM, "packages", f"{text}: {INSTALL}")
    others = [
        f"{name} {found} (tested: {wanted})"
        for name, wanted in pinned.items()
        if (found := _version(name)) is not None and Version(found).public != wanted
    ]
    if others:
        shown = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        text = f"{len(others)} of {len(pinned)} not as in {lock.name}: {shown}: {INSTALL}"
        yield Finding(WARNING, "packages", text)
    if not broken and not others:
        yield Finding(OK, "packages", f"as in {lock.name}")


def optional_packages(config: dict[str, Any]) -> Iterator[Finding]:
    """The extra ``vllm``, where the configuration asks for it."""
    backends = (config["train"]["rollouts"]["backend"], config["evaluate"]["backend"])
    if "vllm" in backends:
        there = find_spec("vllm") is not None
        text = f"{_version('vllm')}" if there else missing("vllm")
        yield Finding(OK if there else PROBLEM, "vllm", text)


def _broken_requirements(pinned: dict[str, str]) -> Iterator[str]:
    for line in requires("gxpo") or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": "suite"}):
            continue
        found = _version(requirement.name)
        if found is None:
            tested = pinned.get(requirement.name, "any version")
            yield f"{requirement.name} is not installed (tested: {tested})"
        elif not requirement.specifier.contains(found, prereleases=True):
            yield f"{requirement.name} is {found}, required is {requirement.specifier}"


def _pinned(lock: Path) -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in lock.read_text(encoding="utf-8").splitlines()]
    pairs = [line.split("==") for line in lines if "==" in line]
    return {name.strip(): pin.strip() for name, pin in pairs}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
