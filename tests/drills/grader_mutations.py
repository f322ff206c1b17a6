"""How many wrong answers the grader accepts, and how many right ones it refuses.

``make grader-check``, or ``PYTHONPATH=tests python -m drills.grader_mutations [FOLDER]``, changes
one thing in every gold answer of the six suites (their JSONL files in FOLDER, by default
../shared/data beside the checkout) and of tests/support/own_golds.py, so that it is wrong, and asks
the grader; then the other way round with the pairs of tests/support/rewritings.py. Every answer
that is judged wrongly is printed, then the figures by benchmark and kind of change. Changes that
change no meaning are named with a reason in tests/support/harmless_mutations.py and not counted.
The seed of every change is the answer itself; minutes on one core.

Exit code 1 where a wrong answer is accepted or a right one refused that the lists do not know.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

from support.harmless_mutations import KNOWN_FAULTS, KNOWN_REFUSALS, reason_why_equal
from support.mutations import mutants
from support.own_golds import GOLDS
from support.rewritings import REWRITINGS
from support.small import ROOT

from gxpo.grading import is_correct
from gxpo.host.progress import progress_bar

DATA = ROOT.parent / "shared" / "data"
CHANGES_OF_SUITES, CHANGES_OF_OUR_OWN = 1, 3  # of each kind, of one gold answer
SUITES = ("aime24", "amc23", "gsm8k", "math500", "minerva", "olympiadbench")


def accepted(gold: str, given: str) -> bool:
    return is_correct(f"\\boxed{{{given}}}", gold)


def golds(folder: Path = DATA) -> dict[str, list[str]]:
    """Different gold answers by benchmark."""
    found = {}
    for suite in SUITES:
        path = folder / f"{suite}.jsonl"
        if not path.is_file():
            print(f"no {path}: {suite} is skipped")
            continue
        lines = path.read_text(encoding="utf-8").strip().split("\n")
        found[suite] = sorted({str(json.loads(line)["answer"]) for line in lines})
    return found | {f"own: {kind}": answers for kind, answers in GOLDS.items()}


def accepted_mutants(
    answers: list[str], each: int, asked: Counter[str], bar
) -> list[tuple[str, str, str]]:
    """(kind, gold, mutant) of what was accepted and is not the same; counts in ``asked``."""
    found = []
    for gold in answers:
        for kind, mutant in mutants(gold, each):
            if reason_why_equal(gold, mutant):
                continue
            asked[kind] += 1
            if accepted(gold, mutant):
                found.append((kind, gold, mutant))
        bar.update()
    return found


def main() -> int:
    known = unknown = 0
    rows, total = {}, golds(*map(Path, sys.argv[1:2]))
    with progress_bar("gold answers", sum(map(len, total.values()))) as bar:
        for benchmark, answers in total.items():
            asked: Counter[str] = Counter()
            wrong: dict[str, int] = defaultdict(int)
            each = CHANGES_OF_SUITES if benchmark in SUITES else CHANGES_OF_OUR_OWN
            for kind, gold, mutant in accepted_mutants(answers, each, asked, bar):
                wrong[kind] += 1
                if (gold, mutant) in KNOWN_FAULTS:
                    known += 1
                else:
                    unknown += 1
                print(f"accepted: {benchmark}, {kind}: {gold!r} ~ {mutant!r}", flush=True)
            rows[benchmark] = (len(answers), asked, wrong)
    print_table(rows)
    refused = [
        (kind, *pair) for kind, pairs in REWRITINGS.items() for pair in pairs if not accepted(*pair)
    ]
    for kind, gold, given in refused:
        print(f"refused: {kind}: {gold!r} ~ {given!r}")
    pairs = sum(map(len, REWRITINGS.values()))
    print(f"right answers, rewritten: {pairs} asked, {len(refused)} refused")
    new = [pair for _, *pair in refused if tuple(pair) not in KNOWN_REFUSALS]
    print(f"faults: {unknown} accepted and {len(new)} refused that are not known; {known} known")
    return int(bool(unknown or new))


def print_table(rows: dict[str, tuple[int, Counter[str], dict[str, int]]]) -> None:
    kinds = list(dict.fromkeys(kind for _, asked, _ in rows.values() for kind in asked))
    print("| benchmark | gold answers | " + " | ".join(kinds) + " | together |")
    print("|---|" + "---|" * (len(kinds) + 2))
    everywhere: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for benchmark, (count, asked, wrong) in rows.items():
        everywhere.update(asked)
        faults.update(wrong)
        print(f"| {benchmark} | {count} | {cells(kinds, asked, wrong)} |")
    count = sum(row[0] for row in rows.values())
    print(f"| together | {count} | {cells(kinds, everywhere, faults)} |")


def cells(kinds: list[str], asked: Counter[str], wrong: dict[str, int]) -> str:
    each = [f"{wrong.get(kind, 0)} of {asked[kind]}" if asked[kind] else "" for kind in kinds]
    return " | ".join([*each, f"{sum(wrong.values())} of {sum(asked.values())}"])


if __name__ == "__main__":
    sys.exit(main())
