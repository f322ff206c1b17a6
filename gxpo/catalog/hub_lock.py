"""``config/hub.lock.yaml``: the commit of every hub dataset and model that has been prepared.

Written by ``gxpo prepare`` and meant to be committed: a name is resolved once and stays at that
commit, for everybody, until somebody asks for ``--update``.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from gxpo.host import UserError, read_yaml, wait_for_lock, write_atomically

LOCK = Path("config/hub.lock.yaml")  # of the working directory
KINDS = ("datasets", "models")
_HEADER = "# Written by gxpo prepare; commit it. gxpo prepare --update moves the commits.\n"


def locked_commit(kind: str, name: str) -> str | None:
    """The locked commit of a hub name, None without one. kind: datasets or models."""
    return _read().get(kind, {}).get(name)


def lock_commit(kind: str, name: str, resolve: Callable[[str], str], update: bool = False) -> str:
    """The commit of a hub name: the locked one, else (or to ``update``) the one ``resolve`` finds,
    which is then locked. Safe against other processes."""
    with _alone():
        known = locked_commit(kind, name)
        if known and not update:
            return known
        commit = resolve(name)
        content = {k: dict(v) for k, v in _read().items()}
        content.setdefault(kind, {})[name] = commit
        ordered = {k: dict(sorted(v.items())) for k, v in sorted(content.items())}
        write_atomically(LOCK, _HEADER + yaml.safe_dump(ordered))
    return commit


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the folder: preparation jobs run side by side."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(LOCK.parent, os.O_RDONLY)
    try:
        wait_for_lock(descriptor, LOCK.parent)
        yield
    finally:
        os.close(descriptor)


def _read() -> dict[str, dict[str, str]]:
    if not LOCK.exists():
        return {}
    path = LOCK.resolve()
    return _parse(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _parse(path: Path, _written: int) -> dict[str, dict[str, str]]:
    content = read_yaml(path) or {}
    kinds = content.values() if isinstance(content, dict) else [None]
    if isinstance(content, dict) and (unknown := sorted(map(str, set(content) - set(KINDS)))):
        raise UserError(f"{LOCK}: unknown key {unknown[0]!r}, allowed are {', '.join(KINDS)}")
    if not all(isinstance(v, dict) and all(isinstance(c, str) for c in v.values()) for v in kinds):
        raise UserError(f"{LOCK} must map datasets and models to names and their commits")
    return content
