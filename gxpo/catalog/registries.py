"""The registries ``config/benchmarks.yaml`` and ``config/models.yaml``: what a name in a run
configuration stands for."""

from __future__ import annotations

import copy
import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gxpo.catalog.gold_answers import EXTRACTORS
from gxpo.host import UserError, read_yaml, shipped

PREPARED = Path("data")  # of the working directory, like results/
ROLES = ("train", "select", "test")
ABOUT = ("licence", "gated", "note")  # of a model: for readers, not for a run
FIELDS = ("id", "problem", "answer")
NEEDED = ("hub", "lora_targets")
SETTINGS = ("chat", "system", "prompt", "dtype", "threads", "parameters", "shape", "resources")


@dataclass(frozen=True)
class Benchmark:
    """A problem set by name; the keys are explained at the top of ``config/benchmarks.yaml``."""

    name: str
    role: str
    samples: int = 4
    count: int | None = None
    template: str = "{problem}"
    answer_format: str = "unknown"
    licence: str = "unknown"
    redistributable: bool = False
    contamination: str = "unknown"
    hub: str | None = None
    subset: str | None = None
    split: str = "test"
    fields: Mapping[str, str] = field(default_factory=dict)
    extract: str = "text"
    keep: Mapping[str, list[Any]] = field(default_factory=dict)
    local: str | None = None

    def __post_init__(self) -> None:
        for value, known, what in (
            (self.role, ROLES, "role"),
            (self.extract, EXTRACTORS, "extract"),
        ):
            if value not in known:
                raise UserError(
                    f"config/benchmarks.yaml: {self.name}: {what} is {value!r}, "
                    f"allowed are {', '.join(known)}"
                )
        if self.hub is None and self.local is None:
            raise UserError(f"config/benchmarks.yaml: {self.name}: needs hub or local")
        if "{problem}" not in self.template:
            raise UserError(f"config/benchmarks.yaml: {self.name}: template lacks {{problem}}")

    @property
    def file(self) -> Path:
        """Where preparation puts the problems (JSONL)."""
        return PREPARED / f"{self.name}.jsonl"

    @property
    def record(self) -> Path:
        """What preparation says about them: source, commit, count, dropped, content hash."""
        return PREPARED / f"{self.name}.json"


def benchmarks() -> dict[str, Benchmark]:
    """Name -> entry of ``config/benchmarks.yaml``. Raises UserError for a bad entry."""
    return _benchmarks(shipped("config/benchmarks.yaml"))


def models() -> dict[str, dict[str, Any]]:
    """Name -> entry of ``config/models.yaml``."""
    return _models(shipped("config/models.yaml"))


@functools.cache
def _benchmarks(path: Path) -> dict[str, Benchmark]:
    allowed = [f.name for f in fields(Benchmark) if f.name != "name"]
    found = {}
    for name, entry in _read(path).items():
        _refuse_unknown(f"{path}: {name}", entry, allowed)
        _refuse_unknown(f"{path}: {name}: fields", entry.get("fields", {}), FIELDS)
        found[name] = Benchmark(name=name, **entry)
    return found


@functools.cache
def _models(path: Path) -> dict[str, dict[str, Any]]:
    found = _read(path)
    for name, entry in found.items():
        _refuse_unknown(f"{path}: {name}", entry, (*NEEDED, *SETTINGS, *ABOUT))
        for key in NEEDED:
            if key not in entry:
                raise UserError(f"{path}: {name}: needs {key}")
    return found


def _refuse_unknown(where: str, keys: Iterable[str], allowed: Collection[str]) -> None:
    for key in keys:
        if key not in allowed:
            raise UserError(f"{where}: unknown key {key!r}, allowed are {', '.join(allowed)}")


def _read(path: Path) -> dict[str, dict[str, Any]]:
    entries = read_yaml(path)
    named = entries.values() if isinstance(entries, dict) else [None]
    if not all(isinstance(entry, dict | str) for entry in named):
        raise UserError(f"{path} must map names to their entries")
    return {name: entry for name, entry in entries.items() if not name.startswith(".")}


def names() -> str:
    """The known problem sets, for a message."""
    return ", ".join(benchmarks())


def with_registries(raw: dict[str, Any]) -> dict[str, Any]:
    """A copy in which names of ``config/benchmarks.yaml`` and ``config/models.yaml`` are filled in;
    what the configuration itself says stands. Raises UserError where a name is unknown."""
    config = copy.deepcopy(raw)
    for label, spec in config["models"].items():
        config["models"][label] = _named(f"models.{label}", _with_model, label, spec)
    evaluate = config["evaluate"]
    for label, spec in evaluate["benchmarks"].items():
        where = f"evaluate.benchmarks.{label}"
        evaluate["benchmarks"][label] = _named(where, _with_benchmark, label, spec)
    where = "evaluate.selection"
    evaluate["selection"] = _named(where, _with_benchmark, None, evaluate["selection"])
    config["train"] = _with_benchmark(None, config["train"])
    config["train"].pop("samples", None)  # of evaluation
    return config


def _named(where: str, complete: Any, *arguments: Any) -> dict[str, Any]:
    try:
        return complete(*arguments)
    except UserError as wrong:
        raise UserError(f"config: {where}: {wrong}") from wrong


def _with_benchmark(label: str | None, spec: dict[str, Any]) -> dict[str, Any]:
    """A problem set of a run configuration, completed from the registry where it names an entry:
    by ``problems``, or by its label. Raises UserError where it names nothing."""
    source = spec.get("problems", label)
    entry = benchmarks().get(str(source))
    if entry is None:
        if "problems" not in spec:
            raise UserError(f"needs problems, or one of these names as its label: {names()}")
        return spec
    style = {} if entry.template == "{problem}" else {"template": entry.template}
    return {"problems": entry.name, "samples": entry.samples, **style, **spec}


def _with_model(label: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A model of a run configuration, completed from the registry where its ``path`` or its label
    is a name there. Raises UserError where it names nothing."""
    if "architecture" in spec:
        return spec
    entry = models().get(spec.get("path", label))
    if entry is None:
        if "path" not in spec:
            raise UserError(
                "needs exactly one of architecture (a tiny model) and path, or one of these names "
                f"as its label: {', '.join(models())}"
            )
        return spec
    defaults = {k: v for k, v in entry.items() if k not in (*ABOUT, "hub", "lora_targets")}
    merged = {**defaults, **spec, "path": entry["hub"]}
    if not merged.get("chat") and "system" not in spec:
        merged.pop("system", None)  # of the registry, for its chat template
    if "lora" in spec:
        merged["lora"] = {"targets": entry["lora_targets"], **spec["lora"]}
    return merged
