"""The API page shows ``name: what it is`` entries of a docstring as a list, as they are meant."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ENTRY = re.compile(r"(\w+(?:, \w+)*): ")


class Fields(griffe.Extension):
    """Called by mkdocstrings for everything it has read (mkdocs.yml)."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_list(obj.docstring.value)


def as_list(text: str) -> str:
    """Markdown in which every entry is an item: a line ``name: ...`` (or ``name, other: ...``) that
    begins a paragraph or follows an entry, and the indented lines after it."""
    lines: list[str] = []
    in_list, paragraph_begins = False, True
    for line in text.split("\n"):
        entry = _ENTRY.match(line) if in_list or paragraph_begins else None
        if entry:
            in_list = True
            line = f"- `{entry[1]}`: {line[entry.end() :]}"
        elif in_list and line.strip() and not line.startswith(" "):
            in_list = False
            lines.append("")
        paragraph_begins = not line.strip()
        lines.append(line)
    return "\n".join(lines)
