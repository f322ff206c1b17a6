"""What ``pass_at_1.yaml`` calls: the problems as a dataset, the score of a problem's samples."""

from __future__ import annotations

import functools
from typing import Any

import datasets

from gxpo.grading import is_correct
from gxpo.problems import load_problems


def dataset(
    source: str, limit: int | None = None, template: str = "{problem}", **_: Any
) -> dict[str, datasets.Dataset]:
    """Split ``test`` with columns id, problem, answer and prompt (the template filled in)."""
    rows = [
        {
            "id": p.id,
            "problem": p.problem,
            "answer": p.answer,
            "prompt": template.replace("{problem}", p.problem),
        }
        for p in load_problems(source, limit)
    ]
    return {"test": datasets.Dataset.from_list(rows)}


def prompt(doc: dict[str, str]) -> str:
    return doc["prompt"]


def answer(doc: dict[str, str]) -> str:
    return doc["answer"]


def process_results(doc: dict[str, str], results: list[list[str]]) -> dict[str, float]:
    """Scores of one problem from its n sampled completions, ``results[0]``; lm-eval averages them
    over problems, so its standard errors are clustered by problem."""
    correct = [graded(completion, doc["answer"]) for completion in results[0]]
    return {"pass_at_1": sum(correct) / len(correct), "pass_at_n": float(any(correct))}


@functools.lru_cache(maxsize=2**16)
def graded(completion: str, answer: str) -> bool:
    """:func:`gxpo.grading.is_correct`, remembered: the rows of single samples ask again."""
    return is_correct(completion, answer)
