"""What is not evaluated: cells that are not ready, prompts that do not fit, problems trained on."""

import json
from pathlib import Path

import pytest
import yaml
from support.small import run, small_config
from support.untrained import untrained_cell

from gxpo.config import cells, complete_config
from gxpo.evaluation.cell import evaluate
from gxpo.host import CellError, UserError
from gxpo.identity import status
from gxpo.preparation import refuse_overlap, training_problems


def test_a_missing_checkpoint_fails_the_cell(tiny_policy, workdir):
    cell = untrained_cell(tiny_policy, checkpoints=(0, 2))
    with pytest.raises(CellError, match=r"checkpoint-2 is missing"):
        evaluate(cell)
    assert not (cell.folder / "scores.csv").exists()


def test_a_prompt_that_does_not_fit_the_context_is_named(tiny_policy, workdir):
    cell = untrained_cell(tiny_policy, max_completion_length=120)
    with pytest.raises(UserError, match=r"max_completion_length = 120 .* context of 128"):
        evaluate(cell)


def test_without_vllm_the_extra_is_named(tiny_policy, workdir, monkeypatch):
    monkeypatch.setattr("gxpo.host.extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[vllm\]'"):
        evaluate(untrained_cell(tiny_policy, backend="vllm"))


def test_a_cell_that_is_not_trained_is_not_evaluated(tiny_policy, workdir, monkeypatch, capsys):
    raw = small_config(tiny_policy)
    Path("config.yaml").write_text(yaml.safe_dump(raw))
    (cell,) = cells(complete_config(raw))
    command = ("evaluate", "config.yaml", "--model", "tiny", "--label", "grpo", "--seed", "0")
    assert run(monkeypatch, *command) == 2
    assert "is not trained as configured (not trained): gxpo train" in capsys.readouterr().err
    assert status(cell) == ("missing", "not trained")  # and not failed


def problem_lines(file, *texts):
    rows = [{"id": i, "problem": text, "answer": 1} for i, text in enumerate(texts)]
    Path(file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_benchmark_on_whose_problems_the_cell_was_trained_is_not_reported(tiny_policy, workdir):
    """It was not there when training dropped what stands in benchmarks."""
    raw = small_config(tiny_policy)
    raw["train"]["problems"] = problem_lines("train.jsonl", "1 + 1?", "2 + 2?")
    (cell,) = cells(complete_config(raw))
    run = training_problems(cell)[1]
    refuse_overlap(cell, run)
    raw["evaluate"]["benchmarks"]["mine"] = {"problems": problem_lines("mine.jsonl", "2 +2 ?")}
    (more,) = cells(complete_config(raw))
    with pytest.raises(CellError, match=r"trained on 1 problems of mine, which came later"):
        refuse_overlap(more, run)
    problems, run_anew = training_problems(more)
    assert len(problems) == 1
    refuse_overlap(more, run_anew)
    problem_lines("mine.jsonl", "3 + 3?")
    refuse_overlap(more, run)


def test_problems_that_choose_a_checkpoint_are_not_reported(tiny_policy, workdir):
    raw = small_config(tiny_policy)
    raw["evaluate"]["benchmarks"] = {"mine": {"problems": problem_lines("mine.jsonl", "a", "b")}}
    raw["evaluate"]["selection"] = {"problems": problem_lines("selection.jsonl", "A", "c")}
    (cell,) = cells(complete_config(raw))
    with pytest.raises(UserError, match=r"evaluate\.selection: 1 of its problems also .*\(mine\)"):
        refuse_overlap(cell, {})
    raw["evaluate"]["selection"]["problems"] = problem_lines("selection.jsonl", "c")
    (cell,) = cells(complete_config(raw))
    refuse_overlap(cell, training_problems(cell)[1])
