"""One more MLflow run per configuration: its tables, figures and report as artifacts."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mlflow.tracking import MlflowClient

CONTENT_TAG = "content_sha256"  # of a whole run; one without it was interrupted
NAME = "summary"
NOTE = "Tables, figures and report of all cells: under Artifacts. Its runs are the other ones here."
SHOWN = ("report.html", "tables", "figures")


def import_summary(client: MlflowClient, experiment: str, results: Path) -> bool:
    """Log what stands in ``results`` (results/<name>) to the experiment's summary run; whether
    anything was new. An older summary is replaced."""
    files = _files(results)
    content = _content_hash(results, files)
    known = client.search_runs([experiment], f"tags.kind = '{NAME}'")
    if not files or any(run.data.tags.get(CONTENT_TAG) == content for run in known):
        return False
    for run in known:
        client.delete_run(run.info.run_id)
    tags = {"kind": NAME, "mlflow.note.content": NOTE}
    run_id = client.create_run(experiment, tags=tags, run_name=NAME).info.run_id
    for file in files:
        folder = file.parent.relative_to(results)
        client.log_artifact(run_id, str(file), None if folder == Path() else folder.as_posix())
    client.set_tag(run_id, CONTENT_TAG, content)  # last: without it, the next import replaces it
    client.set_terminated(run_id)
    return True


def _files(results: Path) -> list[Path]:
    found = [results / name for name in SHOWN]
    inside = [sorted(path.iterdir()) if path.is_dir() else [path] for path in found]
    return [file for files in inside for file in files if file.is_file()]


def _content_hash(results: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(results)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
