"""Steps without any signal are said once, and end a run where that is asked for."""

import json

import pytest
import yaml
from support.killing import cell_of, raw_config
from support.small import run

import gxpo.training.cell as training
from gxpo.cells import STATE, append_row, read_rollouts, read_rows, silent_steps
from gxpo.cells.silence import silence_remark
from gxpo.host import CellError
from gxpo.identity import status
from gxpo.training.silence import SilenceWatch

OPTIONS = ("--model", "tiny", "--label", "grpo", "--seed", 0)
SHOW = "gxpo show my.yaml --model tiny --label grpo --seed 0"


@pytest.fixture
def never_right(monkeypatch):
    monkeypatch.setattr("gxpo.training.rewards.is_correct", lambda completion, answer: False)


@pytest.fixture
def cell(tmp_path, workdir):
    return cell_of(raw_config(tmp_path, "grpo", steps=40, stop_without_signal=8))


def rows(shares, first=1):
    return [
        {"step": step, "zero_advantage": share, "reward": 0.0}
        for step, share in enumerate(shares, first)
    ]


def test_only_steps_without_any_signal_at_the_end_count():
    assert silent_steps([]) == 0
    assert silent_steps(rows([1.0, 1.0, 0.75])) == 0
    assert silent_steps(rows([1.0, 0.0, 1.0, 1.0])) == 2
    assert silent_steps(rows([1.0] * 7)) == 7


def test_a_silence_is_said_once_and_so_is_its_end(cell):
    watch = SilenceWatch(cell, [], "my.yaml")
    shares = [1.0] * 7 + [0.5] + [1.0] * 4 + [0.0] + [1.0] * 5
    said = {row["step"]: line for row in rows(shares) if (line := watch.see(row))}
    assert list(said) == [5, 8, 18]
    assert said[5] == (
        f"{cell.folder}: step 5: no signal in the last 5 steps: every group of completions was all "
        f"right or all wrong (mean reward 0.000). Look at them: {SHOW}"
    )
    assert said[8].endswith("step 8: there is a signal again, after 7 steps without")
    assert watch.short == ", no signal for 5 steps"


def test_the_rows_of_a_resumed_run_count(cell):
    watch = SilenceWatch(cell, rows([0.0, 1.0, 1.0, 1.0, 1.0]))
    assert watch.short == ""
    assert "no signal in the last 5 steps" in watch.see(*rows([1.0], first=6))
    longer = SilenceWatch(cell, rows([1.0] * 7))
    longer.give_up(7)
    longer.see(*rows([1.0], first=8))
    with pytest.raises(CellError, match=r"after step 8 of 40 \(train\.stop_without_signal = 8\)"):
        longer.give_up(8)


def test_without_the_key_nothing_is_given_up(tmp_path):
    patient = SilenceWatch(cell_of(raw_config(tmp_path, "grpo", steps=40)), rows([1.0] * 39))
    patient.give_up(39)


def test_the_log_says_it_once_with_the_command(tiny_policy, workdir, never_right, capsys):
    cell = cell_of(raw_config(tiny_policy, "grpo", steps=8))
    with pytest.raises(CellError, match=rf"each of the 8 steps .* Look at them: {SHOW}"):
        training.train(cell, config="my.yaml")
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "Look at them" in x]
    assert line.startswith(f"{cell.folder}: step 5: no signal in the last 5 steps")
    assert line.endswith(SHOW)


def test_a_run_that_is_given_up_has_failed_and_its_completions_can_be_shown(
    tiny_policy, workdir, never_right, monkeypatch, capsys
):
    raw = raw_config(tiny_policy, "grpo", stop_without_signal=3)
    (workdir / "my.yaml").write_text(yaml.safe_dump(raw))
    cell = cell_of(raw)
    reason = (
        "stopped after step 3 of 6 (train.stop_without_signal = 3): no learning signal in the last "
        "3 steps: every group of completions was all right or all wrong. Look at them: "
    )
    for _ in range(2):  # the second goes on from the checkpoint of step 2
        assert run(monkeypatch, "train", "my.yaml", *OPTIONS) == 1
        failure = json.loads((cell.folder / "failure.json").read_text())
        assert failure == {"stage": "train", "reason": reason + SHOW}
        assert status(cell) == ("failed", f"train: {reason}{SHOW}")
        assert f"cell {cell.folder} failed: {reason}" in capsys.readouterr().err
        assert [row["step"] for row in read_rows(cell.folder / STATE / "metrics.jsonl")] == [
            1,
            2,
            3,
        ]
        kept = read_rollouts(cell.folder / STATE / "rollouts.jsonl.gz")
        assert [row["step"] for row in kept] == [1, 2, 3]
        assert not (cell.folder / "run.json").exists()
    assert run(monkeypatch, *SHOW.split()[1:]) == 0
    shown = capsys.readouterr().out
    assert "step 3 of 6 (kept: 1 to 3)" in shown
    assert "failed: train: stopped after step 3" in " ".join(shown.split())
    assert kept[-1]["prompt"] in shown


def test_the_status_of_a_cell_at_work_says_it(cell):
    state = cell.folder / STATE
    state.mkdir(parents=True)
    for row in rows([0.0, 1.0, 1.0, 1.0, 1.0]):
        append_row(state / "metrics.jsonl", row)
    assert status(cell) == ("missing", "not trained")
    assert silence_remark(cell) == ""
    append_row(state / "metrics.jsonl", *rows([1.0], first=6))
    said = "no signal in its last 5 steps: gxpo show {} --model tiny --label grpo --seed 0"
    assert status(cell) == ("missing", f"not trained; {said.format('CONFIG')}")
    (cell.folder.parents[3] / "config.yaml").write_text("resolved by the pipeline")
    assert silence_remark(cell) == said.format("results/test/config.yaml")
