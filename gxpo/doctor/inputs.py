"""What a configuration starts from: problem sets and models, here before any job starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gxpo.checking import reasons
from gxpo.config import hub_models, problem_sources
from gxpo.doctor.finding import OK, PROBLEM, Finding
from gxpo.preparation.prepare import model_record
from gxpo.problems import is_prepared

FETCH = "gxpo prepare CONFIG, on a machine with network"


def problems(config: dict[str, Any]) -> Finding:
    """Every problem set is prepared."""
    sources = list(dict.fromkeys(spec["problems"] for _, spec in problem_sources(config)))
    missing = ", ".join(source for source in sources if not is_prepared(source))
    if missing:
        return Finding(PROBLEM, "problems", f"not prepared: {missing}: {FETCH}")
    return Finding(OK, "problems", ", ".join(sources))


def unusable(config: dict[str, Any]) -> Iterator[Finding]:
    """What ``gxpo check`` refuses, all of it."""
    found = [Finding(PROBLEM, "check", reason) for reason in reasons(config)]
    yield from found or [Finding(OK, "check", "models, prompts, problems and folders fit together")]


def models(config: dict[str, Any], cache: Path | None = None) -> Iterator[Finding]:
    """Every model has weights that jobs will find. cache: of the hub; default: the one in use."""
    if cache is None:
        from huggingface_hub.constants import HF_HUB_CACHE

        cache = Path(HF_HUB_CACHE)
    fetched = hub_models(config)
    for label, entry in config["models"].items():
        if "architecture" in entry:
            yield Finding(OK, "model", f"{label} is made here")
        elif entry["path"] in fetched:
            yield _hub_model(label, entry["path"], fetched[entry["path"]], cache)
        elif not _has_weights(Path(entry["path"])):
            text = f"{label}: {entry['path']!r} is no folder with safetensors: mend its path"
            yield Finding(PROBLEM, "model", text)
        else:
            yield Finding(OK, "model", f"{label} in {entry['path']}")


def _hub_model(label: str, name: str, revision: str | None, cache: Path) -> Finding:
    """revision: the one that the configuration asks for, if any."""
    what = f"{label}: {name}"
    record = model_record(name)
    if not record.exists():
        return Finding(PROBLEM, "model", f"{what} is not fetched: {FETCH}")
    content = json.loads(record.read_text(encoding="utf-8"))
    commit = revision or content["commit"]
    folder = cache / f"models--{name.replace('/', '--')}" / "snapshots" / commit
    if not _has_weights(folder):
        remedy = f"set HF_HOME as when it was fetched, or delete {record} and: {FETCH}"
        return Finding(PROBLEM, "model", f"{what} at {commit[:12]} is not in {cache}: {remedy}")
    return Finding(OK, "model", f"{what} at {commit[:12]} in {cache}")


def _has_weights(folder: Path) -> bool:
    """Whether there is anything in its safetensors: a cache that was copied without its blobs has
    links that lead nowhere."""
    files = list(folder.glob("*.safetensors"))
    return bool(files) and all(file.is_file() and file.stat().st_size for file in files)
