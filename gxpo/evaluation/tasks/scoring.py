"""What ``pass_at_1.yaml`` calls: the problems as a dataset, the score of a problem's samples."""

from __future__ import annotations

from typing import Any

import datasets

from gxpo.catalog import benchmarks
from gxpo.grading import is_correct
from gxpo.host import environment
from gxpo.problems import load_problems


def dataset(
    suite: str | None = None,
    source: str | None = None,
    limit: int | None = None,
    template: str | None = None,
    **_: Any,
) -> dict[str, datasets.Dataset]:
    """Split ``test`` with columns id, problem, answer and prompt (the template filled in).

    suite: a name; its problems are ``<suite>.jsonl`` in the folder $GXPO_DATA (default: data).
    source: instead of a suite, what ``gxpo.problems.load.load_problems`` takes.
    template: default: the suite's in config/benchmarks.yaml, the plain problem for a source.
    """
    if template is None:
        template = benchmarks()[suite].template if suite else "{problem}"
    source = source or f"{environment.read('GXPO_DATA') or 'data'}/{suite}.jsonl"
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


def every_sample(responses: Any, _: Any) -> Any:
    """lm-eval's filter of responses; its own keep the first sample, or a number to be repeated."""
    return responses


def process_results(doc: dict[str, str], results: list[list[str]]) -> dict[str, float]:
    """Scores of one problem from its n sampled completions, ``results[0]``; lm-eval averages them
    over problems, so its standard errors are clustered by problem."""
    correct = [is_correct(completion, doc["answer"]) for completion in results[0]]
    return {"pass_at_1": sum(correct) / len(correct), "pass_at_n": float(any(correct))}
