"""What weights a folder holds."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path


def weight_files(path: str) -> list[tuple[str, str]]:
    """(name, SHA-256) of the weights in a folder. Empty for a hub name, which has its revision."""
    return sorted(
        (file.name, _sha256(file, file.stat().st_size, file.stat().st_mtime_ns))
        for file in Path(path).glob("*.safetensors")
    )


@functools.cache
def _sha256(file: Path, _size: int, _changed: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
