"""Texts of a configuration that could not do what they are for, whatever they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gxpo.host import UserError
from gxpo.problems import unwritable


def refuse_unwritable(value: Any, where: str = "") -> None:
    """Raise UserError where a text has characters that no file or tokenizer takes."""
    if isinstance(value, dict):
        for key, entry in value.items():
            refuse_unwritable(key, where)
            refuse_unwritable(entry, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for entry in value:
            refuse_unwritable(entry, where)
    elif isinstance(value, str) and (reason := unwritable(value)):
        raise UserError(f"config: {where or 'top level'}: {value!a} {reason}")


def refuse_braces(where: str, path: str | Path) -> None:
    """Raise UserError for a path that Snakemake would take for a pattern."""
    if set("{}") & set(str(path)):
        raise UserError(
            f"config: {where}: {str(path)!r} has braces, which Snakemake takes for wildcards: "
            "rename the file or its folder"
        )
