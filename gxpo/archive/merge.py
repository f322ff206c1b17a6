"""``gxpo merge``: cells of several machines or people, in one archive."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from gxpo.archive.contents import opened
from gxpo.archive.crate import about, files_of
from gxpo.archive.layout import CONFIG, METADATA, results_folder
from gxpo.archive.pack import NO_LICENCE, finish, make_all, zip_folder
from gxpo.cells import EVALUATION, METRICS, RUN, SCORES, Cell, read_rows
from gxpo.config import cells
from gxpo.host import UserError
from gxpo.identity.inputs import settings_difference

UNIONS = ("models", "methods", "seeds")
FREE = (*UNIONS, "report", "numerics")  # of a configuration: may differ between archives


def merge(out: Path, archives: list[Path]) -> list[str]:
    """Write one archive (``.zip``), or one folder, of the cells of several; returns what there
    is to say: what differs between their machines, and which cells do not compare.

    Raises UserError where they are not of one comparison, or have two results of one cell: it
    lists every conflict with its first difference.
    """
    if out.exists():
        raise UserError(f"{out} is there already: name another, or move it away")
    with tempfile.TemporaryDirectory(prefix="gxpo-merge-") as name:
        stage = Path(name) / "merged"
        stage.mkdir()
        configs: list[dict[str, Any]] = []
        conflicts: list[str] = []
        licences: dict[str, None] = {}
        for archive in archives:
            with opened(archive) as config:
                licences[_licence()] = None
                conflicts += _config_conflicts(configs, config, archive)
                conflicts += _take(config, stage, archive)
                configs.append(config)
        if conflicts:
            raise UserError("these do not merge: " + "; ".join(conflicts))
        merged = _union(configs)
        (stage / CONFIG).write_text(yaml.safe_dump(merged, sort_keys=False), encoding="utf-8")
        finish(stage, "; ".join(licences), "")
        with contextlib.chdir(stage):
            results, _ = make_all(merged)
        if out.suffix == ".zip":
            zip_folder(stage, out)
        else:
            shutil.copytree(stage, out)
    finished = int((results.cells["state"] == "finished").sum())
    left = [
        f"not comparable, left out: {r.model}/{r.label} seed {r.seed}: {r.reason}"
        for r in results.left_out.itertuples()
    ]
    return [f"{out}: {finished} cells of {len(archives)}", *results.remarks, *left]


def _licence() -> str:
    value = about(Path()).get("license", NO_LICENCE)
    return value.get("@id", NO_LICENCE) if isinstance(value, dict) else str(value)


def _config_conflicts(
    earlier: list[dict[str, Any]], config: dict[str, Any], archive: Path
) -> list[str]:
    """What differs of what all cells of a comparison have in common, and of equal labels."""
    if not earlier:
        return []
    first, found = earlier[0], []
    shared = [{k: v for k, v in c.items() if k not in FREE} for c in (config, first)]
    if difference := settings_difference(*shared):
        found.append(f"{archive}: {_in_archive(difference)}")
    for key in ("models", "methods"):
        for label, spec in config[key].items():
            other = next((c[key][label] for c in earlier if label in c[key]), None)
            if other is not None and (difference := settings_difference(spec, other)):
                found.append(f"{archive}: {key}.{label}: {_in_archive(difference)}")
    return found


def _in_archive(difference: str) -> str:
    return difference.replace(" there, ", ", ").removesuffix(" here") + " in the others"


def _take(config: dict[str, Any], stage: Path, archive: Path) -> list[str]:
    """Copy what is new; the conflicts of what is there already."""
    conflicts = []
    for cell in cells(config):
        if not (cell.folder / EVALUATION).is_file():
            continue
        target = stage / cell.folder
        if target.exists():
            if difference := _difference(cell, target):
                conflicts.append(
                    f"{archive}: {cell.model}/{cell.label}/seed{cell.seed}: {difference}"
                )
            continue
        shutil.copytree(cell.folder, target)
    made = results_folder(config["name"])
    for file in files_of(Path()):
        if file.is_relative_to(made) or str(file) in (METADATA, CONFIG):
            continue
        if not (stage / file).exists():
            (stage / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, stage / file)
    return conflicts


def _difference(cell: Cell, other: Path) -> str | None:
    """The first thing in which two results of one cell differ; None where they are the same."""
    ours, theirs = (json.loads((f / RUN).read_bytes()) for f in (cell.folder, other))
    if ours["identity"] != theirs["identity"]:
        settings = settings_difference(ours["inputs"]["settings"], theirs["inputs"]["settings"])
        return _in_archive(settings) if settings else "it was trained from something else"
    rows = zip(read_rows(cell.folder / METRICS), read_rows(other / METRICS), strict=False)
    for a, b in rows:
        for column in a:
            if not column.endswith("seconds") and a[column] != b.get(column):
                return f"step {a['step']}: {column} is {a[column]}, {b.get(column)} in the others"
    if (cell.folder / SCORES).read_bytes() != (other / SCORES).read_bytes():
        return "its scores are others (or its seconds: two runs of one cell)"
    return None


def _union(configs: list[dict[str, Any]]) -> dict[str, Any]:
    """All models, methods and seeds, in the order in which they come."""
    merged = dict(configs[0])
    for key in ("models", "methods"):
        merged[key] = {k: v for config in reversed(configs) for k, v in config[key].items()}
        order = dict.fromkeys(k for config in configs for k in config[key])
        merged[key] = {k: merged[key][k] for k in order}
    merged["seeds"] = sorted({seed for config in configs for seed in config["seeds"]})
    return merged
