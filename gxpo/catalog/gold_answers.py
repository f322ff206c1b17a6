r"""Gold answers out of published datasets: a closed set of named extractors.

Each takes the value of a row's answer field (no field, or null: None) and returns plain text, or
None where it finds none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


def text(value: Any) -> str | None:
    r"""The value as it stands, or the content of its last ``\boxed`` where it has one."""
    if value is None:
        return None
    return boxed(value) or str(value).strip().strip("$").strip() or None


def boxed(value: Any) -> str | None:
    r"""The content of the last ``\boxed{...}`` or ``\fbox{...}`` (MATH writes ``\boxed 5`` too)."""
    solution = str(value)
    starts = list(re.finditer(r"\\(?:boxed|fbox)\s*", solution))
    if not starts:
        return None
    rest = solution[starts[-1].end() :]
    if not rest.startswith("{"):
        bare = re.match(r"[^\s$.,]+", rest)
        return bare[0] if bare else None
    depth = 0
    for i, character in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return rest[1:i].strip() or None
    return None


def number(value: Any) -> str | None:
    """A number that may have been stored as a float: 27.0 is 27, to every digit."""
    return re.sub(r"(?<=\d)\.0*$", "", written) if (written := text(value)) else None


def after_hashes(value: Any) -> str | None:
    """What follows the last ``####`` (GSM8K), without thousands separators."""
    _, marker, answer = str(value).rpartition("####")
    return answer.strip().replace(",", "") or None if marker else None


def joined(value: Any) -> str | None:
    """A list of answers that are all asked for (OlympiadBench), as ``a, b``."""
    answers = [text(v) for v in value] if isinstance(value, (list, tuple)) else [text(value)]
    return ", ".join(a for a in answers if a) or None


EXTRACTORS: dict[str, Callable[[Any], str | None]] = {
    "text": text,
    "boxed": boxed,
    "number": number,
    "after_hashes": after_hashes,
    "joined": joined,
}
