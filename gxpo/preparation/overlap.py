"""Problems of one set that also stand in another: a normalised exact match of their texts.

It finds copies, whatever their spacing, case or LaTeX dress; it does not find paraphrases, and says
nothing about what a model saw before.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gxpo.cells import Cell
from gxpo.host import CellError, UserError, file_stamp
from gxpo.problems import Problem, content_hash, is_prepared, load_problems, problem_file

_DRESS = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|quad|qquad|[,;:!> ()\[\]])|\\(?=[dt]frac)"
)
_FRACTION = re.compile(r"[dt]frac")
_DROPPED = re.compile(  # signs that change a problem's meaning stay, the decimal point among them
    r"[^\w+\-*/^=<>().]+|_|(?<!\d)\.|\.(?!\d)"
)


def normalise(text: str) -> str:
    """NFKC, lower case, without LaTeX spacing, punctuation, braces, and white space."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = _FRACTION.sub("frac", _DRESS.sub(" ", text))
    return _DROPPED.sub("", text)


def split_overlap(
    problems: Sequence[Problem], suites: Mapping[str, Sequence[Problem]]
) -> tuple[list[Problem], dict[str, str]]:
    """The problems that stand in no suite; and id -> name of the first suite that has it, of the
    others."""
    known: dict[str, str] = {}
    for name, suite in suites.items():
        for problem in suite:
            known.setdefault(normalise(problem.problem), name)
    kept, dropped = [], {}
    for problem in problems:
        suite_name = known.get(normalise(problem.problem))
        if suite_name is None:
            kept.append(problem)
        else:
            dropped[problem.id] = suite_name
    return kept, dropped


class Kept(NamedTuple):
    """The problems to train on. sha256: of them. suites: benchmark -> hash of its problems.
    dropped: id -> the benchmark in which that training problem stands too."""

    problems: tuple[Problem, ...]
    sha256: str
    suites: Mapping[str, str]
    dropped: Mapping[str, str]


def kept_problems(cell: Cell) -> Kept:
    """The cell's training problems without those that also stand in one of its benchmarks. Raises
    UserError where none is left.

    Preparation has dropped them already where it made the file; those of a file of the user's own
    are dropped here. Benchmarks that are not here yet are left to ``refuse_overlap``.
    """
    sources = {k: s["problems"] for k, s in cell.evaluate["benchmarks"].items()}
    here = {k: source for k, source in sources.items() if is_prepared(source)}
    train = cell.train["problems"]
    stamps = tuple(_stamp(source) for source in (train, *here.values()))
    return _kept(train, tuple(here.items()), stamps)


def training_problems(cell: Cell) -> tuple[list[Problem], dict[str, Any]]:
    """The problems of ``kept_problems``, with a line on standard error where some are dropped; and
    what ``run.json`` says about them."""
    kept = kept_problems(cell)
    if kept.dropped:
        note = f"{len(kept.dropped)} training problems also stand in a benchmark and are dropped"
        print(note, file=sys.stderr)
    return list(kept.problems), {
        "problems_sha256": kept.sha256,
        "benchmarks_sha256": dict(kept.suites),
        "dropped_problems": dict(kept.dropped),
    }


@functools.lru_cache(maxsize=8)
def _kept(train: str, benchmarks: tuple[tuple[str, str], ...], _stamps: tuple[Any, ...]) -> Kept:
    """Remembered: all cells of a configuration ask, and comparing thousands of texts takes long."""
    suites = {label: load_problems(source) for label, source in benchmarks}
    kept, dropped = split_overlap(load_problems(train), suites)
    if not kept:
        raise UserError(
            f"nothing to train on: all problems of {train!r} also stand in "
            f"evaluate.benchmarks ({', '.join(sorted(set(dropped.values())))})"
        )
    hashes = {label: content_hash(suite) for label, suite in suites.items()}
    return Kept(tuple(kept), content_hash(kept), hashes, dropped)


def _stamp(source: str) -> tuple[int, ...]:
    file = problem_file(source)
    return file_stamp(file) if file is not None and file.is_file() else ()


def refuse_selected_by_reported(evaluate: Mapping[str, Any]) -> None:
    """Raise UserError where problems by which checkpoints are selected are also reported. Sets that
    are not here yet are left out."""
    selection, specs = evaluate["selection"], evaluate["benchmarks"]
    here = {k: spec for k, spec in specs.items() if is_prepared(spec["problems"])}
    if not is_prepared(selection["problems"]):
        return
    suites = {k: load_problems(spec["problems"], spec.get("limit")) for k, spec in here.items()}
    chosen_by = load_problems(selection["problems"], selection.get("limit"))
    if common := split_overlap(chosen_by, suites)[1]:
        raise UserError(
            f"evaluate.selection: {len(common)} of its problems also stand in evaluate.benchmarks "
            f"({', '.join(sorted(set(common.values())))}): checkpoints would be chosen by what is "
            "reported; take them out (`gxpo prepare CONFIG` does, of what it has made)"
        )


def refuse_overlap(cell: Cell, run: Mapping[str, Any]) -> None:
    """Refuse to report problems by which checkpoints are selected, or on which the cell was trained
    because the benchmark was not there yet, or was another.

    run: the cell's run.json. Raises UserError, or CellError for what needs another training.
    """
    refuse_selected_by_reported(cell.evaluate)
    specs = cell.evaluate["benchmarks"]
    known = run.get("benchmarks_sha256", {})
    whole = {k: load_problems(spec["problems"]) for k, spec in specs.items()}
    new = {k: suite for k, suite in whole.items() if content_hash(suite) != known.get(k)}
    trained = load_problems(cell.train["problems"]) if new else []
    trained = [p for p in trained if p.id not in run.get("dropped_problems", {})]
    if common := split_overlap(trained, new)[1]:
        names = ", ".join(sorted(set(common.values())))
        raise CellError(
            f"it was trained on {len(common)} problems of {names}, "
            f"which came later: delete {cell.folder} to train it without them, or leave the "
            "benchmark out"
        )
