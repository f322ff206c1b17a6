"""Where every cell's numbers come from, from its ``run.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gxpo.results.read import Results
from gxpo.results.tables.table import NOTHING

# Of run.json: what the cells of a fair comparison have in common.
SHARED = (
    "git_commit",
    "versions",
    "hardware",
    "processes",
    "problems_sha256",
    "benchmarks_sha256",
    "dropped_problems",
)


class Origin(NamedTuple):
    """name: A, B, ... facts: dotted key of run.json -> value. cells: how many have it."""

    name: str
    facts: dict[str, str]
    cells: int


class CellRecord(NamedTuple):
    """One cell, as texts; ``origin``: the name of its Origin, a dash where it has no run.json."""

    model: str
    label: str
    seed: str
    state: str
    origin: str
    learning_rate: str
    hyperparameters: str
    train_seconds: str
    backward_passes: str
    identity: str
    weights: str
    rule: str


class Provenance(NamedTuple):
    """differing: the facts in which origins differ, which a fair comparison must explain."""

    origins: list[Origin]
    differing: list[str]
    cells: list[CellRecord]


def provenance(results: Results) -> Provenance:
    """The distinct origins of the cells, most cells first, and a record of every cell."""
    counts: dict[str, int] = {}
    keys = []
    for run in results.cells["run"]:
        facts = {name: run[name] for name in SHARED if name in run}
        keys.append(json.dumps(facts, sort_keys=True) if run else "")
        if run:
            counts[keys[-1]] = counts.get(keys[-1], 0) + 1
    ordered = sorted(counts, key=lambda key: -counts[key])
    names = {key: _letters(i) for i, key in enumerate(ordered)}
    origins = [Origin(names[k], dict(_flat(json.loads(k))), counts[k]) for k in ordered]
    rows = zip(results.cells.to_dict("records"), keys, strict=True)
    cells = [_record(row, names.get(key, NOTHING)) for row, key in rows]
    return Provenance(origins, _differing(origins), cells)


def _record(row: Mapping[str, Any], origin: str) -> CellRecord:
    run = row["run"]
    totals = run.get("totals", {})
    hyperparameters = run.get("hyperparameters", row["hyperparameters"])
    return CellRecord(
        model=row["model"],
        label=row["label"],
        seed=str(row["seed"]),
        state=row["state"],
        origin=origin,
        learning_rate=f"{row['learning_rate']:g}",
        hyperparameters=", ".join(f"{k}={v}" for k, v in hyperparameters.items()) or NOTHING,
        train_seconds=f"{totals['train_seconds']:.0f}" if "train_seconds" in totals else NOTHING,
        backward_passes=str(totals.get("backward_passes", NOTHING)),
        identity=run.get("identity", NOTHING)[:12],
        weights=str(run.get("inputs", {}).get("weights") or NOTHING)[:12],
        rule=str(run.get("inputs", {}).get("method") or NOTHING)[:12],
    )


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, entry in value.items():
        if isinstance(entry, dict) and entry:
            yield from _flat(entry, f"{prefix}{key}.")
        else:
            empty = entry is None or entry in ({}, [])
            text = ", ".join(map(str, entry)) if isinstance(entry, list) else str(entry)
            yield f"{prefix}{key}", "none" if empty else text


def _differing(origins: list[Origin]) -> list[str]:
    names = dict.fromkeys(name for origin in origins for name in origin.facts)
    return [name for name in names if len({o.facts.get(name) for o in origins}) > 1]


def _letters(i: int) -> str:
    """A ... Z, AA, AB, ..."""
    return (_letters(i // 26 - 1) if i >= 26 else "") + chr(ord("A") + i % 26)
