"""Text files that users write."""

from __future__ import annotations

from pathlib import Path

from gxpo.host.errors import UserError


def read_text(path: Path) -> str:
    """The content of a file in UTF-8. Raises UserError, naming the file, for another encoding."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
