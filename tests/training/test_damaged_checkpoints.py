"""A damaged or half-written checkpoint is passed over: the run still ends as the whole one."""

import json
import shutil

import pytest
from support.interrupting import assert_same, die
from support.killing import cell_of, raw_config

import gxpo.training.cell as training
from gxpo.cells import checkpoints


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
    """A copy of a run of which all but run.json is there, to be damaged."""
    shutil.copytree(whole(label), workdir, dirs_exist_ok=True)
    cell = cell_of(raw_config(policy, label))
    (cell.folder / "run.json").unlink()
    return cell, cell.folder / "state"


def spy_on_steps(monkeypatch):
    """The steps that were trained, in order."""
    trained = []
    row = training.MetricsWriter._row

    def spy(self, step, logs):
        trained.append(step)
        return row(self, step, logs)

    monkeypatch.setattr(training.MetricsWriter, "_row", spy)
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
