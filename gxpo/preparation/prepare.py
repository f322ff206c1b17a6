"""Fetch what a run configuration needs from the hub, once, on a machine with network.

``data/<name>.jsonl`` gets a problem set as id, problem, answer; ``data/<name>.json`` says where it
came from, what was dropped, and its content hash. What is there already is left alone, but for
problems of a test suite that came later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gxpo.catalog import (
    EXTRACTORS,
    PREPARED,
    Benchmark,
    benchmarks,
    hub,
    lock_commit,
    locked_commit,
)
from gxpo.config import hub_models, problem_sources
from gxpo.host import UserError, progress_bar, write_atomically
from gxpo.preparation.overlap import split_overlap
from gxpo.problems import Problem, content_hash, load_problems

MODELS = PREPARED / "models"


def prepare(
    config: dict[str, Any],
    only: Sequence[str] = (),
    local: Mapping[str, Path] | None = None,
    update: bool = False,
) -> Iterator[str]:
    """Prepare the problem sets and models of a completed configuration; yields a line for each.

    only: names of problem sets and hub models to do, the others being left out.
    local: problem set -> JSONL file to take instead of the hub's.
    update: make everything anew, at the commits the hub has now.
    Raises UserError for what cannot be had, and for update with one of the others.
    """
    if update and (only or local):
        raise UserError("--update makes everything anew: leave out --only and --local")
    listed = used_benchmarks(config)
    local = dict(local or {})
    targets = [name for name in (*listed, *hub_models(config)) if not only or name in only]
    for name in (*only, *local):
        if name not in (*listed, *hub_models(config)):
            known = ", ".join((*listed, *hub_models(config)))
            raise UserError(f"the configuration uses no {name!r}: it uses {known}")
        if name in local and name not in listed:
            raise UserError(f"--local gives problems, {name!r} is a model: name its folder as path")
    bar = progress_bar("prepare", len(targets))
    for name in targets:
        bar.set_postfix_str(name)
        if name in listed:
            yield _prepare_problems(listed[name], listed, local.get(name), update)
        else:
            yield _prepare_model(name, hub_models(config)[name], update)
        bar.update()
    bar.close()


def used_benchmarks(config: dict[str, Any]) -> dict[str, Benchmark]:
    """The registry's problem sets that a configuration uses; test suites first, because what
    stands in them is dropped from the others."""
    known = benchmarks()
    used = {spec["problems"] for _, spec in problem_sources(config)} & set(known)
    return {n: known[n] for n in sorted(used, key=lambda n: (known[n].role != "test", n))}


def model_record(name: str) -> Path:
    """The file that says a hub model has been fetched, and at which commit."""
    return MODELS / f"{name.replace('/', '--')}.json"


def _prepare_model(name: str, revision: str | None, update: bool) -> str:
    """revision: the one that the configuration asks for, instead of the locked one."""
    record = model_record(name)
    if record.exists() and not update:
        return f"{name}: there already{_stale(record, revision or locked_commit('models', name))}"
    commit = revision or lock_commit("models", name, hub.model_commit, update)
    folder = hub.fetch_model(name, commit)
    _write(record, json.dumps({"hub": name, "commit": commit, "folder": folder}, indent=2) + "\n")
    return f"{name}: commit {commit}"


def _prepare_problems(
    entry: Benchmark, listed: Mapping[str, Benchmark], file: Path | None, update: bool
) -> str:
    suites = {} if entry.role == "test" else _test_suites(listed)
    if entry.file.exists() and not update and file is None:
        stale = _stale(entry.record, locked_commit("datasets", entry.hub or ""))
        return f"{entry.name}: there already ({entry.file}){_checked_again(entry, suites)}{stale}"
    problems, source, skipped = _normalised(entry, file, update)
    kept, dropped = split_overlap(problems, suites)
    if not kept:
        raise UserError(f"{entry.name}: every problem also stands in {', '.join(suites)}")
    record = {
        "name": entry.name,
        "source": source,
        "count": len(kept),
        "expected": entry.count,
        "without_answer": skipped,
        "dropped": dropped,
        "checked_against": {name: content_hash(suite) for name, suite in suites.items()},
        "sha256": content_hash(kept),
        "licence": entry.licence,
    }
    _write_problems(entry, kept)
    _write(entry.record, json.dumps(record, indent=2) + "\n")
    return _line(entry, len(problems), len(kept), skipped, dropped, suites)


def _checked_again(entry: Benchmark, suites: Mapping[str, list[Problem]]) -> str:
    """Drop from a file of ours what stands in a test suite that was prepared after it; a remark."""
    record = json.loads(entry.record.read_text(encoding="utf-8")) if entry.record.exists() else {}
    checked = record.get("checked_against", {})
    hashes = {name: content_hash(suite) for name, suite in suites.items()}
    new = {name: suites[name] for name in suites if checked.get(name) != hashes[name]}
    if not record or not new:
        return ""
    kept, dropped = split_overlap(load_problems(entry.name), new)
    if dropped:
        _write_problems(entry, kept)
    record |= {"count": len(kept), "sha256": content_hash(kept)}
    record |= {"dropped": record["dropped"] | dropped, "checked_against": checked | hashes}
    _write(entry.record, json.dumps(record, indent=2) + "\n")
    return f"; {len(dropped)} dropped that also stand in {', '.join(new)}" if dropped else ""


def _write_problems(entry: Benchmark, problems: list[Problem]) -> None:
    lines = (json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in problems)
    _write(entry.file, "".join(lines))


def _stale(record: Path, commit: str | None) -> str:
    """A remark where a file was made at another commit than the locked one (a colleague's, say)."""
    if not record.exists() or commit is None:
        return ""
    content = json.loads(record.read_text(encoding="utf-8"))
    made_at = content.get("commit") or content.get("source", {}).get("commit")
    if made_at in (None, commit):
        return ""
    return f"; WARNING: made at commit {made_at}, not {commit}: delete it to make it anew"


def _line(
    entry: Benchmark,
    found: int,
    kept: int,
    skipped: int,
    dropped: Mapping[str, str],
    suites: Mapping[str, Any],
) -> str:
    line = f"{entry.name}: {kept} problems in {entry.file}"
    if skipped:
        line += f"; {skipped} rows without an answer left out"
    if suites:
        by_suite = [f"{list(dropped.values()).count(s)} in {s}" for s in suites]
        line += f"; dropped because they also stand in a test suite: {', '.join(by_suite)}"
    if entry.count is not None and found != entry.count:
        line += f"; WARNING: {entry.count} problems were expected, {found} found"
    return line


def _test_suites(listed: Mapping[str, Benchmark]) -> dict[str, list[Problem]]:
    """The test suites of the configuration, and all others that happen to be prepared."""
    suites = {n: b for n, b in benchmarks().items() if b.role == "test"}
    return {n: load_problems(n) for n, b in suites.items() if n in listed or b.file.exists()}


def _normalised(
    entry: Benchmark, file: Path | None, update: bool
) -> tuple[list[Problem], dict[str, Any], int]:
    """The problems, where they came from, and how many rows had no answer."""
    path = str(file or entry.local or "")
    if path:
        return load_problems(path), {"local": path}, 0
    assert entry.hub is not None
    commit = lock_commit("datasets", entry.hub, hub.dataset_commit, update)
    rows = hub.load_rows(entry.hub, entry.subset, entry.split, commit)
    _refuse_unmatched_values(entry, rows)
    rows = [r for r in rows if all(r.get(k) in allowed for k, allowed in entry.keep.items())]
    wanted = set(entry.fields.values()) - set(rows[0] if rows else ())
    if not rows or wanted:
        has = ", ".join(rows[0]) if rows else "no row"
        raise UserError(
            f"{entry.name}: {entry.hub} at {commit} lacks {', '.join(sorted(wanted)) or 'rows'}: "
            f"it has {has}; mend fields or keep in config/benchmarks.yaml"
        )
    problems = [p for n, row in enumerate(rows) if (p := _problem(entry, row, n)) is not None]
    source = {"hub": entry.hub, "subset": entry.subset, "split": entry.split, "commit": commit}
    return problems, source, len(rows) - len(problems)


def _refuse_unmatched_values(entry: Benchmark, rows: list[dict[str, Any]]) -> None:
    """Raise UserError where one of several values under keep is that of no row."""
    for key, allowed in entry.keep.items():
        found = {str(row[key]) for row in rows if key in row}
        for value in allowed if found else ():
            if str(value) not in found:
                raise UserError(
                    f"{entry.name}: keep: no row of {entry.hub} has {value!r} as {key}: it has "
                    f"{', '.join(sorted(found)[:20])}; mend config/benchmarks.yaml"
                )


def _problem(entry: Benchmark, row: Mapping[str, Any], number: int) -> Problem | None:
    answer = EXTRACTORS[entry.extract](row[entry.fields["answer"]])
    identity = row[entry.fields["id"]] if "id" in entry.fields else number
    if answer is None:
        return None
    return Problem(str(identity), str(row[entry.fields["problem"]]).strip(), answer)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
