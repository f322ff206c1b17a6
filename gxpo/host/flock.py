"""flock(2), for processes that take turns, on file systems that may not have it."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path


def wait_for_lock(descriptor: int, path: Path) -> None:
    """Hold the lock of an open file until it is closed; says so on standard error and goes on
    where the file system has no locks. path: what to call it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        say_unlocked(path, error)


def say_unlocked(path: Path, error: OSError) -> None:
    print(f"{path}: cannot be locked ({error}); going on without", file=sys.stderr)
