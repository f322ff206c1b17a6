"""Files and folders that belong to somebody else."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def denied(path: Path) -> str | None:
    """Why this user may not write to a file or folder, in one line that names its owner; None where
    it may. What does not exist is judged by the nearest folder that does."""
    while not os.path.lexists(path):
        path = path.parent
    wanted = os.W_OK | os.X_OK if path.is_dir() else os.W_OK
    if os.access(path, wanted):
        return None
    return words(path)


def words(path: Path) -> str:
    """That a path cannot be written to, whose it is, and what to do."""
    kind = "folder" if path.is_dir() else "file"
    try:
        owner = _name(path.lstat().st_uid)
    except OSError:
        owner = "somebody else"
    return (
        f"the {kind} {path} cannot be written to: it belongs to {owner}, this is "
        f"{_name(os.getuid())} (or the file system is read-only): ask for write access, or use "
        "another folder or name"
    )


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # not known on this machine
        return f"user {user}"
