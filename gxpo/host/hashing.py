"""SHA-256 of files; that of a large one is remembered from process to process.

A remembered hash is trusted while the file's device, inode, size, time of content and time of
change (ctime) are what they were. Programs can set a file's time back (``cp -a``, ``rsync -a``,
``touch``) but not its ctime, which every write and every rename moves; and a hash is not remembered
before that time is a minute old, so that no later write can bear the same. What is left are file
systems that keep no ctime.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from pathlib import Path

from gxpo.host import environment
from gxpo.host.atomic import write_atomically

LARGE = 1 << 20  # bytes; below, hashing takes less than looking it up
SETTLED = 60  # seconds: file servers' clocks and coarse times


def file_sha256(path: Path) -> str:
    """The hash of a file's content, in hex."""
    stamp = _stamp(path)
    if stamp[2] < LARGE:
        return _hash(path)
    remembered = _remembered()
    key, known = str(path.resolve()), [*stamp]
    if (entry := remembered.get(key)) and entry["stamp"] == known:
        return str(entry["sha256"])
    began = time.time()
    digest = _hash(path)
    if _stamp(path) == stamp and began - stamp[4] / 1e9 > SETTLED:
        remembered[key] = {"stamp": known, "sha256": digest}
        _remember(remembered)
    return digest


def text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_stamp(path: Path) -> tuple[int, ...]:
    """What changes whenever a file's content does; for caches inside of a process."""
    return _stamp(path)


def _stamp(path: Path) -> tuple[int, ...]:
    state = path.stat()
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache() -> Path:
    home = environment.read("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "gxpo" / "hashes.json"


@functools.cache
def _read(_cache: Path) -> dict[str, dict[str, object]]:
    try:
        content = json.loads(_cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or torn by another program: everything is hashed
        return {}
    return content if isinstance(content, dict) else {}


def _remembered() -> dict[str, dict[str, object]]:
    return _read(_cache())


def _remember(entries: dict[str, dict[str, object]]) -> None:
    with contextlib.suppress(OSError):  # a home that cannot be written costs the time of hashing
        _cache().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_cache(), json.dumps(entries))
