"""The reference pages that are made from the code; ``make docs`` writes them.

configuration.md from gxpo/config/schema.yaml, metrics.md from gxpo/cells/metrics.py, tables.md
from the tables themselves, made of fabricated runs (tests/support/fabricate.py).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.fabricate import comparison_config, fabricate

from gxpo.cells.metrics import COLUMNS, TRL_NAMES
from gxpo.config import complete_config
from gxpo.config.schema import SCHEMA
from gxpo.results import read_results
from gxpo.results.tables import make_tables

ROOT = Path(__file__).resolve().parents[1]
MADE = "Made by `make docs`"
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}


def pages() -> dict[str, str]:
    """File name in docs/reference -> content."""
    return {"configuration.md": configuration(), "metrics.md": metrics(), "tables.md": tables()}


def configuration() -> str:
    parts = [
        "# Configuration keys",
        f"{MADE} from [the schema](../../gxpo/config/schema.yaml), against which every file is "
        "checked. A key in bold must be given. A key that is not listed is refused.",
    ]
    for name, schema in _sections("", SCHEMA):
        parts += [f"## {name or 'Top level'}", _table(schema)]
    return "\n\n".join(parts) + "\n"


def _sections(name: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping of the schema that has keys, by its path; a label stands as (label)."""
    schema = _resolved(schema)
    if "properties" in schema:
        yield name, schema
    for key, child in schema.get("properties", {}).items():
        yield from _sections(f"{name}.{key}".lstrip("."), child)
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        yield from _sections(f"{name}.(label)", rest)


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    return {**SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]], **schema}


def _table(schema: dict[str, Any]) -> str:
    rows = ["| key | meaning | allowed | default |", "|---|---|---|---|"]
    for key, child in schema["properties"].items():
        entry = _resolved(child)
        name = f"**`{key}`**" if key in schema.get("required", []) else f"`{key}`"
        default = f"`{_yaml(entry['default'])}`" if "default" in entry else ""
        row = [name, entry.get("description", ""), _allowed(entry), default]
        rows.append("| " + " | ".join(_escaped(cell) for cell in row) + " |")
    return "\n".join(rows)


def _yaml(default: Any) -> Any:
    return "null" if default is None else default


def _allowed(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kinds = schema.get("type", "")
    words = {"object": "mapping", "array": "list"}
    kind = " or ".join(words.get(k, k) for k in (kinds if isinstance(kinds, list) else [kinds]))
    bounds = [f"{sign} {schema[key]:g}" for key, sign in BOUNDS.items() if key in schema]
    return " ".join([kind, ", ".join(bounds)]).strip()


def metrics() -> str:
    rows = [f"| `{name}` | {_escaped(text)} |" for name, text in COLUMNS.items()]
    shown = ", ".join(f"`{ours}` is `{trl}`" for ours, trl in TRL_NAMES.items() if ours != trl)
    parts = [
        "# Columns of metrics.jsonl",
        f"{MADE} from [gxpo/cells/metrics.py](../../gxpo/cells/metrics.py). One row a "
        "training step. What a rule reports about itself stands under `method/<name>` "
        "([rules](rules.md)).",
        "\n".join(["| column | meaning |", "|---|---|", *rows]),
        f"TRL's own names: {shown}.",
    ]
    return "\n\n".join(parts) + "\n"


def tables() -> str:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        config = complete_config(comparison_config())
        fabricate(config, lambda cell, benchmark, step: 0.2 + 0.04 * step + 0.04 * cell.seed)
        made = make_tables(read_results(config))
    parts = [
        "# Tables",
        f"{MADE}. Every table is written as CSV, Markdown and LaTeX to `results/<name>/tables/`. "
        "The columns are those of the CSV file; intervals are at 95 % over training seeds "
        "([statistics](statistics.md)). `suite_*` is what we would defend in a review, `paper_*` "
        "follows the papers' own definitions, which favour the rival.",
    ]
    for table in made:
        columns = ", ".join(f"`{name}`" for name in table.frame.columns)
        parts += [f"## {table.name}", f"{table.title}.", f"Columns: {columns}.", *table.notes]
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


if __name__ == "__main__":
    for name, content in pages().items():
        (ROOT / "docs" / "reference" / name).write_text(content, encoding="utf-8")
