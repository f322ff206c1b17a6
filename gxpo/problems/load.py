"""Problems with verifiable answers: where they come from, and in which order training sees them."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import asdict
from pathlib import Path

from gxpo.catalog import benchmarks, names
from gxpo.host import UserError, read_text
from gxpo.problems.parse import parse_line
from gxpo.problems.problem import Problem
from gxpo.problems.synthetic import synthetic_problems

SYNTHETIC = "synthetic/"
SYNTHETIC_COUNTS = {"train": 4096, "selection": 96, "test": 128, "hard": 96}


def load_problems(source: str, limit: int | None = None) -> list[Problem]:
    """The problems of a source: ``synthetic/<split>``, a name in ``config/benchmarks.yaml`` that
    has been prepared, or the path of a JSONL file whose lines hold ``id``, ``problem`` and
    ``answer``. ``limit`` keeps the first so many.

    Raises UserError for a missing file, an unknown split or name, problems that are not prepared,
    an id given twice, a file that is not UTF-8, or a bad line (names its number and id).
    """
    if source.startswith(SYNTHETIC):
        split = source.removeprefix(SYNTHETIC)
        count = SYNTHETIC_COUNTS.get(split, 0)
        return synthetic_problems(split, min(limit or count, count))
    path = problem_file(source)
    assert path is not None
    if not path.is_file() and source in benchmarks():
        raise UserError(
            f"problems {source!r} are not prepared: run `gxpo prepare CONFIG` on a machine with "
            f"network, or put a JSONL file with id, problem and answer at {path}"
        )
    if not path.is_file():
        raise UserError(f"problem file {source!r} does not exist; known names are {names()}")
    lines = read_text(path).split("\n")
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip()]
    problems = [parse_line(line, f"{source}:{n}") for n, line in numbered]
    if not problems:
        raise UserError(f"problem file {source!r} holds no problem")
    _refuse_twice(source, problems, [n for n, _ in numbered])
    return problems[:limit]


def problem_file(source: str) -> Path | None:
    """The file that a source is read from, there or not; None for synthetic problems."""
    if source.startswith(SYNTHETIC):
        return None
    return benchmarks()[source].file if source in benchmarks() else Path(source)


def is_prepared(source: str) -> bool:
    """Whether the problems of a source can be read here and now."""
    file = problem_file(source)
    return file is None or file.is_file()


def _refuse_twice(source: str, problems: list[Problem], lines: list[int]) -> None:
    seen: dict[str, int] = {}
    for problem, line in zip(problems, lines, strict=True):
        if problem.id in seen:
            both = f"on lines {seen[problem.id]} and {line}"
            raise UserError(
                f"problem file {source!r} has two problems with the id {problem.id!r}, {both}"
            )
        seen[problem.id] = line


def content_hash(problems: list[Problem]) -> str:
    """SHA-256 over ids, problems and answers in order: recorded in every run."""
    digest = hashlib.sha256()
    for problem in problems:
        digest.update(json.dumps(asdict(problem), sort_keys=True).encode())
    return digest.hexdigest()


def prompt_schedule(n_problems: int, n_prompts: int, seed: int) -> list[int]:
    """Indices of the problems that training sees, in order: a function of the seed alone, so every
    method gets the same prompts. Each pass over the problems is a fresh shuffle."""
    rng = random.Random(f"prompts/{seed}")
    schedule: list[int] = []
    while len(schedule) < n_prompts:
        schedule += rng.sample(range(n_problems), n_problems)
    return schedule[:n_prompts]
