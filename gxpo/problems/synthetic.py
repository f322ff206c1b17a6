"""Two-step arithmetic word problems: what the demo's tiny models learn, with no data hub.

    Ann has 4 eggs , gets 5 , gives 3 ?   ->   4+5=9;9-3=6####6

Every triple of operands belongs to exactly one split, so no evaluation problem differs from a
training problem by a name only.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from gxpo.host import UserError
from gxpo.problems.problem import Problem

NAMES = ["Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus", "Hal"]
THINGS = ["eggs", "figs", "pens", "cups", "nuts", "hats", "keys", "toys"]
SPLITS = ("train", "selection", "test", "hard")
TEMPLATES = ("gets-gives", "gives-gets", "gets-gets")


@dataclass(frozen=True)
class WordProblem:
    """A two-step problem: ``first`` and ``second`` are the signed changes of ``start``."""

    name: str
    thing: str
    start: int
    first: int
    second: int

    @property
    def text(self) -> str:
        changes = f"{_verb(self.first)} , {_verb(self.second)}"
        return f"{self.name} has {self.start} {self.thing} , {changes} ?"

    @property
    def middle(self) -> int:
        return self.start + self.first

    @property
    def answer(self) -> int:
        return self.middle + self.second


def _verb(change: int) -> str:
    return f"{'gets' if change > 0 else 'gives'} {abs(change)}"


def solution(problem: WordProblem) -> str:
    """The worked solution that the warm start demonstrates."""
    return (
        f"{_equation(problem.start, problem.first, problem.middle)};"
        f"{_equation(problem.middle, problem.second, problem.answer)}####{problem.answer}"
    )


def noisy_solution(problem: WordProblem, rng: random.Random, rate: float = 0.2) -> str:
    """A demonstration with, each at probability ``rate``: a slip of 1 in the first step, the wrong
    operation in the second, the intermediate result reported as the answer. The mistakes are what
    gives RL its headroom: the model samples them at temperature 1, though it mostly knows better.
    """
    middle = problem.middle
    if rng.random() < rate:
        middle += rng.choice((-1, 1))
    second = -problem.second if rng.random() < rate else problem.second
    answer = middle + second
    if min(middle, answer) < 0:
        return solution(problem)
    reported = middle if rng.random() < rate else answer
    first_line = _equation(problem.start, problem.first, middle)
    return f"{first_line};{_equation(middle, second, answer)}####{reported}"


def _equation(left: int, change: int, right: int) -> str:
    return f"{left}{'+' if change > 0 else '-'}{abs(change)}={right}"


def draw(split: str, rng: random.Random) -> WordProblem:
    """One random problem of a split.

    ``train``, ``selection`` and ``test`` share a distribution; ``hard`` has an intermediate
    result of two digits in every problem (about a third of the others).
    """
    while True:
        start, a, b = (rng.randint(1, 9) for _ in range(3))
        template = rng.choice(TEMPLATES)
        first = -a if template == "gives-gets" else a
        second = -b if template == "gets-gives" else b
        if start + first < 0 or start + first + second < 0:
            continue
        if split == "hard" and start + first < 10:
            continue
        if _split_of(start, first, second) == split:
            return WordProblem(rng.choice(NAMES), rng.choice(THINGS), start, first, second)


def _split_of(start: int, first: int, second: int) -> str:
    bucket = hashlib.sha256(f"{start} {first} {second}".encode()).digest()[0] % 10
    return {7: "selection", 8: "test", 9: "hard"}.get(bucket, "train")


def synthetic_problems(split: str, count: int) -> list[Problem]:
    """``count`` problems of a split, always the same. Raises UserError for an unknown split."""
    if split not in SPLITS:
        raise UserError(f"unknown synthetic split {split!r}: known are {', '.join(SPLITS)}")
    rng = random.Random(f"synthetic/{split}")
    problems = (draw(split, rng) for _ in range(count))
    return [Problem(f"{split}-{i}", p.text, str(p.answer)) for i, p in enumerate(problems)]
