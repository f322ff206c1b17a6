"""A killed run that is started again ends as the run that was not: bit by bit, on a CPU."""

import json
import os
import shutil
import signal
from types import SimpleNamespace

import pytest
import torch
from killing import RULES, Training, cell_of, outcome, raw_config
from transformers import TrainerControl

import gxpo.train as training
from gxpo import checkpoints, interrupt
from gxpo.errors import Interrupted
from gxpo.metrics import read_rows

# Of six steps; checkpoints are due after 2, 4 and 6.


@pytest.fixture(scope="module")
def whole(tiny_policy, tmp_path_factory):
    """label -> the folder of its uninterrupted run."""
    folders = {}

    def run(label):
        if label not in folders:
            folder = tmp_path_factory.mktemp(label)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                training.train(cell_of(raw_config(tiny_policy, label)))
            folders[label] = folder
        return folders[label]

    return run


def after_row(monkeypatch, step, action):
    """Do ``action`` when the row of ``step`` is written, before a checkpoint of that step is."""
    on_log = training._MetricsWriter.on_log

    def patched(self, args, state, control, logs=None, **kwargs):
        on_log(self, args, state, control, logs=logs, **kwargs)
        if state.global_step == step and "reward" in logs:
            action()

    monkeypatch.setattr(training._MetricsWriter, "on_log", patched)


def die():
    raise KeyboardInterrupt


def sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


def assert_same(cell, expected, workdir):
    rows, weights = outcome(workdir, cell)
    expected_rows, expected_weights = outcome(expected, cell)
    assert rows == expected_rows
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert len(weights) == 3
    assert weights == expected_weights


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


def test_killed_while_a_checkpoint_is_written(tiny_policy, whole, workdir, monkeypatch, capfd):
    cell = cell_of(raw_config(tiny_policy, "grpo"))
    seal = checkpoints.seal
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoints, "seal", lambda f: die() if f.name.endswith("4") else seal(f))
        training.train(cell)
    assert (cell.folder / "state" / "checkpoint-4" / "model.safetensors").exists()
    training.train(cell)
    assert_same(cell, whole("grpo"), workdir)
    assert messages(capfd) == [
        "checkpoint-4 cannot be resumed from: it has no manifest.json, so it was not written to "
        "its end; resuming from checkpoint-2"
    ]


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def without_row(path, step):
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rows[: step - 1] + rows[step:]))


def twice_row(path, step):
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rows[:step] + rows[step - 1 :]))


def messages(capfd):
    """What was said about checkpoints, without the folder's name."""
    lines = capfd.readouterr().err.splitlines()
    return [line.rpartition("state/")[2] for line in lines if "cannot be resumed" in line]


FAULTS = {
    "optimizer truncated": (
        lambda state: truncate(state / "checkpoint-6" / "optimizer.pt"),
        "optimizer.pt (1000 bytes) is not as it was written",
    ),
    "weights deleted": (
        lambda state: (state / "checkpoint-6" / "model.safetensors").unlink(),
        "model.safetensors is missing",
    ),
    "bit flipped": (
        lambda state: flip_a_bit(state / "checkpoint-6" / "scheduler.pt"),
        "scheduler.pt (SIZE bytes) is not as it was written",
    ),
    "manifest deleted": (
        lambda state: (state / "checkpoint-6" / "manifest.json").unlink(),
        "it has no manifest.json, so it was not written to its end",
    ),
    "manifest truncated": (
        lambda state: truncate(state / "checkpoint-6" / "manifest.json"),
        "manifest.json is not readable",
    ),
    "checkpoint deleted": (
        lambda state: shutil.rmtree(state / "checkpoint-6"),
        "it is missing",
    ),
    "row lost": (
        lambda state: without_row(state / "metrics.jsonl", 5),
        "metrics.jsonl does not have one row for each of the steps 1 to 6",
    ),
    "row twice": (
        lambda state: twice_row(state / "metrics.jsonl", 5),
        "metrics.jsonl does not have one row for each of the steps 1 to 6",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_checkpoint_falls_back(tiny_policy, whole, workdir, monkeypatch, capfd, fault):
    label = "gxpo"
    cell, state = prepare_damaged(tiny_policy, whole, workdir, label)
    damage, problem = FAULTS[fault]
    problem = problem.replace("SIZE", str((state / "checkpoint-6/scheduler.pt").stat().st_size))
    damage(state)
    trained = spy_on_steps(monkeypatch)
    training.train(cell)
    assert trained == [5, 6]
    assert_same(cell, whole(label), workdir)
    assert messages(capfd) == [
        f"checkpoint-6 cannot be resumed from: {problem}; resuming from checkpoint-4"
    ]


def test_without_a_whole_checkpoint_training_starts_again(
    tiny_policy, whole, workdir, monkeypatch, capfd
):
    cell, state = prepare_damaged(tiny_policy, whole, workdir, "sfpo")
    without_row(state / "metrics.jsonl", 4)
    trained = spy_on_steps(monkeypatch)
    training.train(cell)
    assert trained == [1, 2, 3, 4, 5, 6]
    assert_same(cell, whole("sfpo"), workdir)
    said = messages(capfd)
    assert [line.split()[0] for line in said] == ["checkpoint-6", "checkpoint-4", "checkpoint-2"]
    assert said[-1].startswith("checkpoint-2 cannot be resumed from: optimizer.pt is missing")
    assert all(line.endswith("; training starts from the beginning") for line in said)


def prepare_damaged(policy, whole, workdir, label):
    """A copy of a finished run, to be damaged."""
    shutil.copytree(whole(label), workdir, dirs_exist_ok=True)
    cell = cell_of(raw_config(policy, label))
    return cell, cell.folder / "state"


def spy_on_steps(monkeypatch):
    """The steps that were trained, in order."""
    trained = []
    row = training._MetricsWriter._row

    def spy(self, step, logs):
        trained.append(step)
        return row(self, step, logs)

    monkeypatch.setattr(training._MetricsWriter, "_row", spy)
    return trained


def test_what_is_kept(tmp_path):
    """Scheduled 2, 4, 6; a signal came after 3 and 5."""
    for step in (2, 3, 4, 5, 6):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("adapter_model.safetensors", "optimizer.pt", "rng_state_1.pth"):
            (folder / name).write_text(name)
        checkpoints.seal(folder)
    assert "rng_state_1.pth" in json.loads((tmp_path / "checkpoint-6/manifest.json").read_text())
    checkpoints.prune(tmp_path, [0, 2, 4, 6])
    kept = {
        folder.name: sorted(path.name for path in folder.iterdir()) for folder in tmp_path.iterdir()
    }
    weights_only = ["adapter_model.safetensors", "manifest.json"]
    everything = ["adapter_model.safetensors", "manifest.json", "optimizer.pt", "rng_state_1.pth"]
    assert kept == {
        "checkpoint-2": weights_only,
        "checkpoint-4": weights_only,
        "checkpoint-5": everything,
        "checkpoint-6": everything,
    }
    rows = [1, 2, 3, 4, 5, 6]
    assert checkpoints.newest_whole(tmp_path, rows, [0, 2, 4, 6]) == (tmp_path / "checkpoint-6", {})


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
    """SIGKILL in the middle of a step, SIGTERM, and the rest; ``make soak`` does more of this."""
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
    monkeypatch.chdir(workdir)
    training.train(third.cell)
    assert third.end() == 0
    assert outcome(workdir / "killed", third.cell) == outcome(workdir, third.cell)
    assert [row["step"] for row in outcome(workdir, third.cell)[0]] == list(range(1, 15))
