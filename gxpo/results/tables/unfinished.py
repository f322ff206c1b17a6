"""Cells that are in no other table."""

from __future__ import annotations

from gxpo.results.read import Results
from gxpo.results.tables.table import Table


def unfinished(results: Results) -> Table:
    """Failed and missing cells with their reasons."""
    rows = results.unfinished
    return Table(
        name="unfinished",
        title="Failed and missing cells",
        frame=rows,
        shown=rows.astype(str),
        empty="(every cell has finished)",
    )
