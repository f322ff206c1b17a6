"""The metadata of an archive: an RO-Crate (version 1.1), by the ``rocrate`` library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rocrate.model.file import File
from rocrate.rocrate import ROCrate

from gxpo import __version__
from gxpo.archive.layout import METADATA
from gxpo.host import UserError, file_sha256, write_atomically

KINDS = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".gz": "application/gzip",
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".yaml": "application/yaml",
    ".html": "text/html",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".py": "text/x-python",
    ".safetensors": "application/octet-stream",
}
WORDS = {
    "run.json": "a cell's inputs by hash, settings, versions, hardware, totals",
    "metrics.jsonl": "one row a training step",
    "rollouts.jsonl.gz": "some completions of every training step",
    "evaluation.json": "what the scores were drawn with and of, hashes of the files beside it",
    "scores.csv": "pass@1 and pass@n, one row per checkpoint and benchmark",
    "problems.parquet": "right answers, one row per checkpoint, benchmark and problem",
    "samples.jsonl.gz": "every graded completion",
    "config.yaml": "the run configuration, completed with its defaults",
    "report.html": "the report on one page",
    "code.json": "commit, versions and differences of the suite that packed this",
}


def write_crate(folder: Path, name: str, licence: str, description: str, creator: str) -> None:
    """Write ``ro-crate-metadata.json`` over all files in ``folder``, each with its hash."""
    crate = ROCrate(version="1.1")
    crate.name, crate.description, crate.license = name, description, licence
    if creator:
        person = {"@id": "#creator", "@type": "Person", "name": creator}
        crate.add_jsonld(person)
        crate.root_dataset["creator"] = {"@id": "#creator"}
    suite = {"@id": "#gxpo", "@type": "SoftwareApplication", "name": "gxpo", "version": __version__}
    crate.add_jsonld(suite)
    for file in files_of(folder):
        about = {
            "name": file.name,
            "sha256": file_sha256(folder / file),
            "contentSize": str((folder / file).stat().st_size),
            "encodingFormat": KINDS.get(file.suffix, "text/plain"),
        }
        if words := WORDS.get(file.name):
            about["description"] = words
        crate.add(File(crate, dest_path=str(file), properties=about))
    text = json.dumps(crate.metadata.generate(), indent=1, ensure_ascii=False)
    write_atomically(folder / METADATA, text + "\n")


def files_of(folder: Path) -> list[Path]:
    """All files below ``folder``, relative to it, but the metadata themselves."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in found if file != Path(METADATA))


def recorded_hashes(folder: Path) -> dict[str, str]:
    """File -> SHA-256 as the metadata say. Raises UserError where they are no RO-Crate's."""
    content = json.loads((folder / METADATA).read_bytes())
    graph = content.get("@graph") if isinstance(content, dict) else None
    if not isinstance(graph, list):
        raise UserError(f"{METADATA} is no RO-Crate's: it has no @graph")
    return {
        str(entry["@id"]): str(entry["sha256"])
        for entry in graph
        if isinstance(entry, Mapping) and entry.get("@type") == "File" and "sha256" in entry
    }


def about(folder: Path) -> dict[str, Any]:
    """The entry of the whole in the metadata."""
    graph = json.loads((folder / METADATA).read_bytes())["@graph"]
    return next(entry for entry in graph if entry.get("@id") == "./")
