"""What is left to train on once the test suites' problems are dropped."""

import json

import pytest

from gxpo.config import complete_config, get_cell
from gxpo.host import UserError
from gxpo.problems import load_problems
from gxpo.training.cell import train


def write_problems(path, problems):
    rows = [{"id": p.id, "problem": p.problem, "answer": p.answer} for p in problems]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_file_whose_problems_all_stand_in_a_benchmark(raw, said, workdir):
    raw["train"]["problems"] = write_problems(
        workdir / "p.jsonl", load_problems("synthetic/test", 9)
    )
    (reason, *_) = said()
    assert "nothing to train on: all problems of" in reason
    assert "also stand in evaluate.benchmarks (words)" in reason


def test_a_file_with_fewer_problems_than_a_step_needs(raw, said, workdir):
    """16 completions in groups of 4: a step needs 4 different problems."""
    own, copies = load_problems("synthetic/train", 4), load_problems("synthetic/test", 5)
    raw["train"]["problems"] = write_problems(workdir / "p.jsonl", own)
    assert said() == []
    raw["train"]["problems"] = write_problems(workdir / "q.jsonl", [*own[:3], *copies])
    (reason,) = said()
    assert "has 3 problems (5 more also stand in a benchmark), a step needs 4: comp" in reason
    cell = get_cell(complete_config(raw), "tiny", "grpo", 0)
    with pytest.raises(UserError, match=r"has 3 problems .* a step needs 4"):
        train(cell)


def test_a_selection_that_is_also_reported_is_refused_before_training(raw, said):
    raw["evaluate"]["selection"] = {"problems": "synthetic/test", "limit": 4, "samples": 2}
    (reason,) = said()
    assert (
        "evaluate.selection: 4 of its problems also stand in evaluate.benchmarks (words)" in reason
    )
