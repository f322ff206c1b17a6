"""Pickles in the place of what is loaded: none of them is executed."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from support.killing import cell_of, raw_config

import gxpo.training.cell as training
from gxpo.cells import checkpoints
from gxpo.evaluation.cell import evaluate
from gxpo.host import CellError, UserError, environment
from gxpo.policy.loading import load_adapted_model, load_model


class Bomb:
    """A pickle that leaves a file behind where it is loaded as pickles are."""

    def __init__(self, mark):
        self._mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self._mark),)


@pytest.fixture
def bomb(tmp_path):
    """The bytes of a Bomb. Whether it went off is checked at the end of the test."""
    mark = tmp_path / "executed"
    content = pickle.dumps(Bomb(mark))
    pickle.loads(content)  # it works
    mark.rmdir()
    yield content
    assert not mark.exists()


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"]
)
def test_a_pickle_in_a_checkpoint_is_not_executed(
    tiny_policy, workdir, monkeypatch, capfd, bomb, name, forced
):
    """Even with a manifest that agrees, and with the switch by which torch loads everything."""
    cell = cell_of(raw_config(tiny_policy, "grpo", steps=4))
    folder = trained(tiny_policy, cell, workdir)
    (folder / "run.json").unlink()
    shutil.rmtree(folder / "state" / "checkpoint-4")
    checkpoint = folder / "state" / "checkpoint-2"
    (checkpoint / name).write_bytes(bomb)
    checkpoints.seal(checkpoint)
    rows = folder / "state" / "metrics.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:2]))
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "")
        monkeypatch.setattr(os, "environ", os.environ.copy())  # the rest stays the tests'
        environment.settle()
    if name == "training_args.bin":  # which nobody reads
        training.train(cell)
        return
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        training.train(cell)


def trained(policy, cell, workdir, cache={}):  # noqa: B006 (one training for all cases)
    """The folder of a copy of the trained cell in the working directory."""
    if "folder" not in cache:
        training.train(cell)
        cache["folder"] = shutil.copytree(cell.folder, policy.parent / "trained")
    return Path(shutil.copytree(cache["folder"], cell.folder, dirs_exist_ok=True))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "pytorch_model.bin.index.json"])
def test_a_model_of_pickles_is_refused(tiny_policy, tmp_path, bomb, name):
    folder = Path(shutil.copytree(tiny_policy, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(bomb)
    if name.endswith("json"):
        index = {"metadata": {}, "weight_map": {"lm_head.weight": "pytorch_model.bin"}}
        (folder / name).write_text(json.dumps(index))
    else:
        (folder / name).write_bytes(bomb)
    with pytest.raises(UserError, match="cannot be loaded"):
        load_model(str(folder))


def test_a_pickle_beside_safetensors_is_not_read(tiny_policy, tmp_path, bomb):
    folder = Path(shutil.copytree(tiny_policy, tmp_path / "model"))
    (folder / "pytorch_model.bin").write_bytes(bomb)
    load_model(str(folder))


def test_an_adapter_of_pickles_is_refused(tiny_policy, tmp_path, bomb):
    (tmp_path / "adapter_model.bin").write_bytes(bomb)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "target_modules": ["q_proj"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(CellError, match=r"has no adapter_model\.safetensors"):
        load_adapted_model(load_model(str(tiny_policy)), tmp_path, merged=False)


def test_a_checkpoint_of_pickles_is_not_evaluated(tiny_policy, workdir, bomb):
    cell = cell_of(raw_config(tiny_policy, "grpo", steps=4))
    folder = trained(tiny_policy, cell, workdir)
    checkpoint = folder / "state" / "checkpoint-2"
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(bomb)
    with pytest.raises(UserError, match="cannot be loaded"):
        evaluate(cell)
