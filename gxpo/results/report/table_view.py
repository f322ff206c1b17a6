"""A table as the page shows it: which columns hold numbers, and how a cell sorts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from gxpo.results.tables.table import NOTHING, Table

# A leading number and, behind it, a unit, an interval or words: "61.2 [58.0, 64.4]", "2 of 3". A
# name that starts with a digit ("3b-model") is none.
_NUMBER = re.compile(r"[≥≤<~]?\s*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?=$|[\s\[(%x,])")
_HOLE = re.compile(rf"{NOTHING}|-|nan|None|\(.*\)|no gain|")


class Entry(NamedTuple):
    """A cell's text. key: the number that it sorts by, where it does not start with that number."""

    text: str
    key: str = ""


class TableView(NamedTuple):
    """columns: name, whether it holds numbers. rows: empty where the table is a hole."""

    name: str
    title: str
    columns: list[tuple[str, bool]]
    rows: list[list[Entry]]
    notes: Sequence[str]
    empty: str


def view(table: Table) -> TableView:
    """The table's ``shown``, ready for the page."""
    texts = [[str(value) for value in row] for row in table.shown.itertuples(index=False)]
    columns = [
        (str(name), is_numeric([row[i] for row in texts])) for i, name in enumerate(table.shown)
    ]
    numeric = [holds for _, holds in columns]
    rows = [
        [Entry(text, _key(text) if n else "") for text, n in zip(row, numeric, strict=True)]
        for row in texts
    ]
    return TableView(table.name, table.title, columns, rows, table.notes, table.empty)


def is_numeric(texts: list[str]) -> bool:
    """Whether every entry is a number, or marks that there is none."""
    return all(sort_value(text) is not None or _HOLE.fullmatch(text) for text in texts)


def sort_value(text: str) -> float | None:
    """The number an entry stands for; "> 40", a budget that was not enough, is more than any."""
    if text.startswith(">"):
        return math.inf
    found = _NUMBER.match(text)
    return float(found[1]) if found else None


def _key(text: str) -> str:
    value = sort_value(text)
    if value is None or text[0] in "+-0123456789":  # a browser reads those by itself
        return ""
    return "Infinity" if math.isinf(value) else f"{value:g}"
