"""A killed run that is started again ends as the run that was not: bit by bit, on a CPU."""

import os
import shutil
import signal
from types import SimpleNamespace

import pytest
import torch
from support.interrupting import after_row, assert_same, die, sigint, sigterm
from support.killing import RULES, Training, cell_of, outcome, raw_config
from transformers import TrainerControl

import gxpo.training.cell as training
from gxpo.cells import checkpoints, read_rows
from gxpo.host import Interrupted
from gxpo.training import interrupt


@pytest.mark.parametrize("label", RULES)
def test_killed_between_checkpoints(tiny_policy, whole, workdir, monkeypatch, label):
    expected, cell = whole(label), cell_of(raw_config(tiny_policy, label))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        after_row(patch, 5, die)
        training.train(cell)
    assert not (cell.folder / "run.json").exists()
    training.train(cell)
    assert_same(cell, expected, workdir)


@pytest.mark.parametrize("label", ["grpo", "sfpo", "gxpo"])
def test_sigterm_checkpoints_and_stops(tiny_policy, whole, workdir, monkeypatch, label):
    expected, cell = whole(label), cell_of(raw_config(tiny_policy, label))
    handlers = [signal.getsignal(number) for number in interrupt.SIGNALS]
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stop:
        after_row(patch, 2, sigterm)  # so that step 3, off the schedule, is the last
        training.train(cell)
    assert str(stop.value) == "stopped by SIGTERM after step 3 of 6, which is checkpointed"
    assert handlers == [signal.getsignal(number) for number in interrupt.SIGNALS]
    state = cell.folder / "state"
    assert checkpoints.newest_whole(state, [1, 2, 3], [0, 2]) == (state / "checkpoint-3", {})
    assert len(read_rows(state / "metrics.jsonl")) == 3
    training.train(cell)
    assert_same(cell, expected, workdir)
    assert not (state / "checkpoint-3").exists()  # two newer ones can be resumed from


def test_ctrl_c_checkpoints_and_stops(tiny_policy, whole, workdir, monkeypatch, capfd):
    cell = cell_of(raw_config(tiny_policy, "gxpo"))
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stop:
        after_row(patch, 2, sigint)
        training.train(cell)
    assert str(stop.value) == "stopped by SIGINT after step 3 of 6, which is checkpointed"
    said = "stopping after this step, with a checkpoint; Ctrl-C again stops at once"
    assert capfd.readouterr().err.count(said) == 1
    training.train(cell)
    assert_same(cell, whole("gxpo"), workdir)


def test_a_second_ctrl_c_ends_at_once_and_costs_the_steps_since_the_checkpoint(
    tiny_policy, whole, workdir, monkeypatch
):
    cell = cell_of(raw_config(tiny_policy, "gxpo"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        after_row(patch, 3, lambda: (sigint(), sigint()))
        training.train(cell)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not (cell.folder / "state" / "checkpoint-3").exists()
    training.train(cell)
    assert_same(cell, whole("gxpo"), workdir)


def test_a_ctrl_c_that_is_ignored_stays_ignored():
    """As a shell's background job has it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt.StopRequest() as request:
            sigint()
        assert request.received is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_time_up_checkpoints_and_stops(tiny_policy, whole, workdir):
    cell = cell_of(raw_config(tiny_policy, "gxpo"))
    with pytest.raises(Interrupted, match=r"the end of its walltime after step 1 of 6"):
        training.train(cell, seconds=0.0)
    training.train(cell)
    assert_same(cell, whole("gxpo"), workdir)


def test_gates_close_within_the_run(whole, tiny_policy):
    """Otherwise the tests above would not cover a gate's state."""
    for label in ("sfpo", "gxpo"):
        rows, _ = outcome(whole(label), cell_of(raw_config(tiny_policy, label)))
        active = [row["method/active"] for row in rows]
        assert active[0] == 1.0
        assert active[-1] == 0.0


def test_a_signal_in_the_last_step_changes_nothing(tiny_policy, whole, workdir, monkeypatch):
    cell = cell_of(raw_config(tiny_policy, "grpo"))
    after_row(monkeypatch, 5, sigterm)  # seen at the end of step 6
    training.train(cell)
    assert (cell.folder / "run.json").exists()
    assert_same(cell, whole("grpo"), workdir)


def test_killed_after_the_last_step(tiny_policy, whole, workdir, monkeypatch):
    cell = cell_of(raw_config(tiny_policy, "grpo"))
    shutil.copytree(whole("grpo"), workdir, dirs_exist_ok=True)
    metrics, run = ((cell.folder / name).read_bytes() for name in ("metrics.jsonl", "run.json"))
    (cell.folder / "metrics.jsonl").unlink()
    (cell.folder / "run.json").unlink()

    monkeypatch.setattr(training.MethodTrainer, "training_step", lambda *_: die())
    training.train(cell)
    assert (cell.folder / "metrics.jsonl").read_bytes() == metrics
    assert (cell.folder / "run.json").read_bytes() == run


def test_a_signal_to_any_process_stops_all(monkeypatch):
    """The decision is a sum over processes: here this one got no signal, another one did."""
    arguments = SimpleNamespace(device="cpu"), SimpleNamespace(global_step=3, max_steps=6)
    callback, control = interrupt.StopAtStepEnd(interrupt.StopRequest()), TrainerControl()
    callback.on_step_end(*arguments, control)
    assert not control.should_training_stop
    monkeypatch.setattr(interrupt, "reduce", lambda flag, how: flag + torch.tensor(1.0))
    callback.on_step_end(*arguments, control)
    assert control.should_training_stop
    assert control.should_save
    assert callback.stopped_after == 3


def test_real_processes(tiny_policy, workdir, monkeypatch):
    """SIGKILL in the middle of a step, SIGTERM, SIGINT, the rest; ``make soak`` does more of it."""
    raw = raw_config(tiny_policy, "gxpo", steps=14)
    first = Training(workdir / "killed", raw)
    assert first.wait_for(lambda: len(first.steps) >= 3)
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert not (first.state.parent / "run.json").exists()

    second = Training(workdir / "killed", raw)
    assert second.wait_for(lambda: len(second.steps) >= 5)
    assert second.end(signal.SIGTERM) == os.EX_TEMPFAIL
    step = second.steps[-1]
    line = f"stopped by SIGTERM after step {step} of 14, which is checkpointed; start the same"
    assert line in second.log.read_text()
    assert 5 <= step < 14
    assert (second.state / f"checkpoint-{step}" / "manifest.json").exists()
    assert not (second.state.parent / "failure.json").exists()

    third = Training(workdir / "killed", raw)
    assert third.wait_for(lambda: len(third.steps) > step)
    assert third.end(signal.SIGINT) == os.EX_TEMPFAIL
    log = third.log.read_text()
    assert f"stopped by SIGINT after step {third.steps[-1]} of 14, which is checkpointed" in log
    assert "Traceback" not in log

    fourth = Training(workdir / "killed", raw)
    monkeypatch.chdir(workdir)
    training.train(fourth.cell)
    assert fourth.end() == 0
    assert outcome(workdir / "killed", third.cell) == outcome(workdir, third.cell)
    assert [row["step"] for row in outcome(workdir, third.cell)[0]] == list(range(1, 15))
