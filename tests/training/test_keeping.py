"""What training keeps of the completions: the right ones, whole after a kill, at no cost to the
run's numbers."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.interrupting import after_row, assert_same, die
from support.killing import cell_of, outcome, raw_config
from support.small import small_config

import gxpo.training.cell as training
from gxpo.cells import ROLLOUTS, RUN, STATE, read_rollouts, read_rows
from gxpo.config import complete_config, get_cell
from gxpo.grading import is_correct
from gxpo.identity import status
from gxpo.problems import load_problems, prompt_schedule
from gxpo.training import keeping

TEMPLATE = (
    "{% for m in messages %}{{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}####{% endif %}"
)


def kept(cell):
    return read_rollouts(cell.folder / ROLLOUTS)


def test_what_is_kept_is_what_the_metrics_count(tiny_policy, workdir):
    cell = cell_of(raw_config(tiny_policy, "grpo", keep_completions=16))  # all four prompts
    training.train(cell)
    problems = load_problems("synthetic/train")
    asked = [problems[i] for i in prompt_schedule(len(problems), 6 * 4, 0)]
    assert [row["prompt"] for row in kept(cell)] == [problem.problem for problem in asked]
    assert [row["answer"] for row in kept(cell)] == [problem.answer for problem in asked]
    for row in read_rows(cell.folder / "metrics.jsonl"):
        of_step = [
            (one, k["answer"])
            for k in kept(cell)
            if k["step"] == row["step"]
            for one in k["completions"]
        ]
        assert len(of_step) == 16
        for one, answer in of_step:
            assert one["reward"] == one["rewards"]["correct"] == is_correct(one["text"], answer)
        ones = [one for one, _ in of_step]
        assert sum(one["reward"] for one in ones) / 16 == pytest.approx(row["reward"])
        assert sum(one["tokens"] for one in ones) / 16 == pytest.approx(row["response_length"])
        assert sum(not one["ended"] for one in ones) / 16 == pytest.approx(row["truncated"])


def test_the_first_prompts_of_the_batch_are_kept_with_all_rewards(tiny_policy, workdir):
    cell = cell_of(raw_config(tiny_policy, "grpo", format_reward=0.5, steps=2))
    training.train(cell)
    problems = load_problems("synthetic/train")
    schedule = prompt_schedule(len(problems), 2 * 4, 0)
    assert [row["prompt"] for row in kept(cell)] == [problems[schedule[i]].problem for i in (0, 4)]
    for one in kept(cell)[0]["completions"]:
        assert list(one["rewards"]) == ["correct", "boxed_once"]
        paid = one["rewards"]["correct"] + 0.5 * one["rewards"]["boxed_once"]
        assert one["reward"] == pytest.approx(paid)


def test_rows_and_weights_are_the_same_bit_by_bit_without_keeping(tiny_policy, whole, workdir):
    cell = cell_of(raw_config(tiny_policy, "gxpo", keep_completions=0))
    training.train(cell)
    assert not list(cell.folder.rglob(ROLLOUTS))
    assert_same(cell, whole("gxpo"), workdir)
    others = read_rollouts(whole("gxpo") / cell.folder / ROLLOUTS)
    assert [row["step"] for row in others] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("torn", [b"\x1f\x8b\x08\x00torn", b"no gzip"])
def test_after_a_kill_no_step_is_kept_twice_and_none_is_missing(
    tiny_policy, whole, workdir, monkeypatch, torn
):
    cell = cell_of(raw_config(tiny_policy, "grpo"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        after_row(patch, 5, die)
        training.train(cell)
    state = cell.folder / STATE / ROLLOUTS
    assert [row["step"] for row in read_rollouts(state)] == [1, 2, 3, 4, 5]
    with state.open("ab") as file:
        file.write(torn)
    training.train(cell)
    assert kept(cell) == read_rollouts(whole("grpo") / cell.folder / ROLLOUTS)
    assert read_rollouts(state) == kept(cell)
    assert_same(cell, whole("grpo"), workdir)


def test_a_run_that_was_begun_by_an_older_version_goes_on(tiny_policy, whole, workdir, monkeypatch):
    cell = cell_of(raw_config(tiny_policy, "grpo"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        after_row(patch, 5, die)
        training.train(cell)
    (cell.folder / STATE / ROLLOUTS).unlink()
    training.train(cell)
    assert [row["step"] for row in kept(cell)] == [5, 6]  # it was resumed from step 4
    assert_same(cell, whole("grpo"), workdir)


def test_what_is_kept_makes_no_other_cell(tiny_policy, whole, workdir, monkeypatch):
    """Neither status nor training take a finished cell for one of other settings; nor one of a
    version that did not know the keys."""
    shutil.copytree(whole("grpo"), workdir, dirs_exist_ok=True)
    changed = {"keep_completions": 3, "stop_without_signal": 7}
    cell = cell_of(raw_config(tiny_policy, "grpo", **changed))
    before = outcome(workdir, cell)
    record = json.loads((cell.folder / RUN).read_text())
    for key in changed:
        assert status(cell) == ("missing", "not evaluated")
        del record["cell"]["train"][key]
        (cell.folder / RUN).write_text(json.dumps(record))
    monkeypatch.setattr(training.MethodTrainer, "training_step", lambda *_: die())
    training.train(cell)
    assert outcome(workdir, cell) == before


def test_nothing_is_kept_while_the_clock_runs(tiny_policy, workdir, monkeypatch):
    started = []
    original = keeping.first_rows

    def spy(trainer, *arguments):
        started.append(dict(trainer.clock._started))
        return original(trainer, *arguments)

    monkeypatch.setattr(keeping, "first_rows", spy)
    training.train(cell_of(raw_config(tiny_policy, "grpo", steps=2)))
    assert started == [{}, {}]


def test_only_the_first_process_writes(tiny_policy, workdir, monkeypatch):
    cell = cell_of(raw_config(tiny_policy, "grpo"))
    keeper = keeping.CompletionKeeper(Path(), cell)
    keeper.trainer, calls = object(), []
    monkeypatch.setattr(keeping, "first_rows", lambda *_: calls.append("gathered") or [])
    for first in (False, True):
        state = SimpleNamespace(global_step=1, is_world_process_zero=first)
        keeper.on_log(None, state, None, logs={"reward": 0.0})
        assert Path(ROLLOUTS).exists() == first
    assert calls == ["gathered", "gathered"]  # by all: the others have a part of it


def even(text, answer):
    """No policy is right that never saw a chat template."""
    return len(text) % 2 == 0


def test_conversations_are_kept_as_people_read_them(tiny_policy, workdir, monkeypatch):
    monkeypatch.setattr("gxpo.training.rewards.is_correct", even)
    shutil.copytree(tiny_policy, "chat")
    Path("chat/chat_template.jinja").write_text(TEMPLATE)
    raw = small_config("chat", name="chat")
    raw["models"]["tiny"] |= {"chat": True, "system": "Be brief."}
    raw["train"] |= {"steps": 1, "max_completion_length": 8, "temperature": 3.0}
    raw["evaluate"]["every"] = 1
    cell = get_cell(complete_config(raw), "tiny", "grpo", 0)
    training.train(cell)
    problems = load_problems("synthetic/train")
    first = problems[prompt_schedule(len(problems), 4, 0)[0]]
    (row,) = kept(cell)
    assert row["prompt"] == f"[system]\nBe brief.\n\n[user]\n{first.problem}"
    assert row["answer"] == first.answer
    assert [one["reward"] for one in row["completions"]] == [
        float(even(one["text"], None)) for one in row["completions"]
    ]
