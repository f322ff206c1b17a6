"""Cells that are in no other table: those without results, and those whose results are of something
else than the others'."""

from __future__ import annotations

import pandas as pd

from gxpo.results.read import Results
from gxpo.results.tables.table import Table


def unfinished(results: Results) -> Table:
    """Cells that failed, run, were stopped or have not begun, with their reasons."""
    rows, left_out = results.unfinished, results.left_out
    return _listing(
        "unfinished",
        "Failed, missing and running cells",
        rows[~rows["state"].isin(set(left_out["state"]))],
        "(every cell has finished)" if rows.empty else "(every other cell has finished)",
    )


def not_comparable(results: Results) -> Table:
    """Cells whose results are of other weights, data, settings or precision than the configuration
    asks for now, or than those of the other cells; with the first difference."""
    return _listing(
        "incomparable",
        "Not comparable: cells with results of something else",
        results.left_out,
        "(all results are of the same things)",
        [f"Differs, and is no reason to leave a cell out: {line}." for line in results.remarks],
    )


def seconds_note(results: Results) -> list[str]:
    """A footnote for tables of seconds, where those were not taken on one kind of machine."""
    if results.seconds_compare:
        return []
    return ["The seconds were taken on different hardware (see incomparable): they do not compare."]


def _listing(
    name: str, title: str, rows: pd.DataFrame, empty: str, notes: list[str] | None = None
) -> Table:
    rows = rows.reset_index(drop=True)
    return Table(
        name=name, title=title, frame=rows, shown=rows.astype(str), notes=notes or [], empty=empty
    )
