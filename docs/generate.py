"""The reference pages that are made from the code; ``make docs`` writes them.

configuration.md from gxpo/config/schema.yaml, metrics.md from gxpo/cells/metrics.py,
environment.md from gxpo/host/variables.py, tables.md from the tables themselves, made of fabricated
runs (tests/support/fabricate.py).
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
from gxpo.host.variables import DEFAULT, DROPPED, DROPPED_ALONE, PINNED, RECORDED, SET, TABLE
from gxpo.results import read_results
from gxpo.results.tables import make_tables

ROOT = Path(__file__).resolve().parents[1]
MADE = "Made by `make docs`"
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}

TREATMENTS = {
    DROPPED: "Removed, in every `gxpo` process. Where the value would have changed something, a "
    "line on standard error names it.",
    DROPPED_ALONE: "Removed likewise, but in the processes of one cell: those that `gxpo train "
    "--processes N` starts, or that carry `GXPO_RANKS` = `WORLD_SIZE` (a launch by hand over "
    "[several nodes](../guide/cluster.md#several-gpus-several-nodes)). These say for whom they "
    "wait after 10 s, and give up after 5 minutes more.",
    SET: "Whatever the value was.",
    DEFAULT: "Your value is kept.",
    PINNED: "Whatever the value was, in every `gxpo` command that is given a configuration, with a "
    "line on standard error where that replaces yours; [what for](numerics.md). "
    "`numerics: fast` leaves them alone.",
    RECORDED: "Left alone: yours to choose.",
}
AROUND_THE_ENVIRONMENT = (
    "## What a run records",
    "`run.json` has the variables above as they were while the cell trained, under `environment`, "
    "but none whose name says that it is [secret](security.md#secrets); and under `numerics` what "
    "they could have changed, as the trainer and torch say it: dtypes, mixed precision, engine, "
    "compiler, attention, TF32, deterministic kernels, the processor's instruction set.",
    "## The library",
    "`MethodTrainer` does not touch the environment of the program it is part of. It refuses what "
    "would make its counts wrong: DeepSpeed, Megatron and parallelism over tensors or sequences by "
    "`ACCELERATE_USE_*`, fp16 and fp8 wherever they come from, several GPUs in one process "
    "(DataParallel). bf16 by `accelerate launch --mixed_precision bf16` is the program's choice.",
    "## Left alone, and why",
    "What TRL, transformers and accelerate read for their trackers (`WANDB_*`, `COMET_*`, "
    "`CLEARML_*`, ...): no tracker of theirs is on. `SLURM_*`: no library here takes a rank from "
    "them. `accelerate config`'s own `default_config.yaml`: a launch by `gxpo` names another file. "
    "`matplotlibrc` of the working directory or the user: figures start from matplotlib's "
    "defaults. `SNAKEMAKE_PROFILE` and Snakemake's other variables: how jobs run, not what they "
    "compute; `gxpo run --slurm` names its own profile. `TMPDIR`, `COLUMNS`, `LANG`: no result "
    "depends on them. What a variable does before Python starts (`LD_PRELOAD`, `PYTHONHASHSEED`, "
    "`PYTHONOPTIMIZE`) cannot be undone, and is recorded.",
)


def pages() -> dict[str, str]:
    """File name in docs/reference -> content."""
    made = (configuration, environment, metrics, tables)
    return {f"{page.__name__}.md": page() for page in made}


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
    kind = " or ".join(words.get(k, k) for k in ([kinds] if isinstance(kinds, str) else kinds))
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


def environment() -> str:
    parts = [
        "# Environment variables",
        f"{MADE} from [gxpo/host/variables.py](../../gxpo/host/variables.py). The configuration "
        "decides the numbers of a run and the command how many processes there are, not what a "
        "shell, a launcher or a scheduler has left in the environment. `gxpo` goes through this "
        "table before it imports torch and the others.",
    ]
    for treatment, meaning in TREATMENTS.items():
        rows = [row for row in TABLE if row.treatment == treatment]
        lines = ["| variables | read by | why |", "|---|---|---|"]
        for row in rows:
            value = f" = `{row.value}`" if row.value else ""
            names = ", ".join(f"`{name}`" for name in row.names.split())
            lines.append(f"| {_escaped(names)}{value} | {row.readers} | {_escaped(row.reason)} |")
        parts += [f"## {treatment.capitalize()}", meaning, "\n".join(lines)]
    return "\n\n".join([*parts, *AROUND_THE_ENVIRONMENT]) + "\n"


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
