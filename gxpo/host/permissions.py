"""Files and folders that belong to somebody else."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def denied(path: Path) -> str | None:
    """Why this user may not write to a file or folder, in one line that names its owner; None where
    it may. What does not exist is judged by the nearest folder that does."""
    path = _there(path)
    wanted = os.W_OK | os.X_OK if path.is_dir() else os.W_OK
    if os.access(path, wanted):
        return None
    return denial(path)


def denial(path: Path) -> str:
    """That a path, or the folder that it is to be made in, cannot be read or written; whose it is;
    what to do."""
    path = _there(path)
    if path.is_file() and os.access(path, os.R_OK | os.W_OK):
        path = path.parent  # whose permission decides about replacing and deleting
    kind = "folder" if path.is_dir() else "file"
    try:
        owner = _name(path.lstat().st_uid)
    except OSError:
        owner = "somebody else"
    return (
        f"the {kind} {path} cannot be read or written: it belongs to {owner}, this is "
        f"{_name(os.getuid())} (or the file system is read-only): ask for write access, or use "
        "another folder or name"
    )


def _there(path: Path) -> Path:
    """A path, or the nearest of its folders that exists and may be looked into."""
    path = path.absolute()
    while not os.path.lexists(path):
        path = path.parent
    cwd = Path.cwd()
    return path.relative_to(cwd) if cwd in path.parents else path


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # not known on this machine
        return f"user {user}"
