"""Optimizers and schedules of a cell: torch's own, resumed bit for bit, the default as ever."""

import copy
import math

import pytest
import torch
from support.interrupting import after_row, assert_same, die
from support.killing import cell_of, raw_config

import gxpo.training.cell as training
from gxpo.cells import read_rows
from gxpo.config import complete_config
from gxpo.config.optimizers import complete_optimizer
from gxpo.host import UserError
from gxpo.policy.loading import load_model
from gxpo.training.optimizers import MuonWithAdamW, optimizer_factory

OTHERS = {
    "sgd": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.01},
    "muon": {"name": "muon"},
    "decayed": {"name": "adamw", "betas": [0.9, 0.95], "weight_decay": 0.1},
}


def raw(policy, label="grpo", **train):
    config = raw_config(policy, label)
    config["train"] |= train
    return config


@pytest.mark.parametrize("label", ["grpo", "sfpo", "gxpo", "gxpo-lora"])
@pytest.mark.parametrize("name", OTHERS)
def test_each_is_resumed_bit_for_bit(tiny_policy, tmp_path, monkeypatch, name, label):
    """Killed between two checkpoints, as with the default: snapshots, moments, schedule."""
    asked = {"optimizer": OTHERS[name], "schedule": {"name": "cosine", "warmup": 2}}
    folders = [tmp_path / "whole", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
        monkeypatch.chdir(folder)
        cell = cell_of(raw(tiny_policy, label, **asked))
        if folder.name == "killed":
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                after_row(patch, 5, die)
                training.train(cell)
        training.train(cell)
    assert_same(cell, folders[0], folders[1])


def test_the_default_written_out_is_the_default(tiny_policy, tmp_path, monkeypatch):
    rows = []
    for number, asked in enumerate(
        ({}, {"optimizer": {"name": "adamw", "weight_decay": 0.0}, "schedule": "constant"})
    ):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        cell = cell_of(raw(tiny_policy, **asked))
        training.train(cell)
        rows.append((cell.folder / "state/checkpoint-6/model.safetensors").read_bytes())
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1, 1, 1]),
        ({"name": "constant", "warmup": 2}, [0, 0.5, 1, 1, 1, 1]),
        ("linear", [1 - i / 6 for i in range(6)]),
        ("cosine", [(1 + math.cos(math.pi * i / 6)) / 2 for i in range(6)]),
    ],
)
def test_schedules_are_over_training_steps(tiny_policy, workdir, schedule, factors):
    """By their formulas; probe steps of a rule are none."""
    cell = cell_of(raw(tiny_policy, "gxpo", schedule=schedule))
    training.train(cell)
    found = [
        row["learning_rate"] / cell.train["learning_rate"]
        for row in read_rows(cell.folder / "metrics.jsonl")
    ]
    assert found == pytest.approx(factors, abs=1e-9)


def parameters():
    generator = torch.Generator().manual_seed(0)
    shapes = ((6, 4), (4, 4), (3, 4), (4,))
    return [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in shapes]


def test_muon_is_torchs_for_matrices_and_adamw_for_the_rest():
    ours, theirs = parameters(), parameters()
    one = MuonWithAdamW(ours[:2], ours[2:3], ours[3:], 0.01, 0.95, (0.9, 0.999), 0.01)
    muon = torch.optim.Muon(
        theirs[:2], lr=0.01, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
    )
    rest = [
        {"params": theirs[2:3], "weight_decay": 0.01},
        {"params": theirs[3:], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(rest, lr=0.01, fused=True)
    for step in range(5):
        for group in (ours, theirs):
            for i, p in enumerate(group):
                p.grad = torch.cos(p.detach() * (i + 1) + step)
        one.step()
        muon.step()
        adamw.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
    assert len(one.state) == 4


def test_muons_state_goes_on_after_loading():
    once, again = parameters(), parameters()
    optimizers = []
    for group in (once, again):
        made = MuonWithAdamW(group[:2], group[2:3], group[3:], 0.01, 0.95, (0.9, 0.999), 0.01)
        optimizers.append(made)

    def step(group, optimizer, number):
        for p in group:
            p.grad = torch.sin(p.detach() + number)
        optimizer.step()

    for number in range(3):
        step(once, optimizers[0], number)
    for a, b in zip(once, again, strict=True):
        b.data.copy_(a.data)
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))  # as from a file
    for number in range(3, 6):
        step(once, optimizers[0], number)
        step(again, optimizers[1], number)
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b)


def test_embeddings_heads_and_vectors_are_adamws(tiny_policy):
    model = load_model(str(tiny_policy))
    factory, settings = optimizer_factory(complete_optimizer("muon"), 1e-3)
    made = factory()(model, **settings)
    names = {id(p): name for name, p in model.named_parameters()}
    muon = {names[id(p)] for p in made.param_groups[0]["params"]}
    rest = {names[id(p)] for group in made.param_groups[1:] for p in group["params"]}
    assert muon | rest == set(names.values())
    assert all("proj" in name and name.endswith("weight") for name in muon)
    assert any("embed" in name for name in rest)
    assert made.param_groups[-1]["weight_decay"] == 0.0


def test_a_model_without_hidden_matrices_is_refused():
    factory, settings = optimizer_factory(complete_optimizer("muon"), 1e-3)
    with pytest.raises(UserError, match="no matrix to train"):
        factory()(torch.nn.ModuleDict({"embed": torch.nn.Embedding(3, 4)}), **settings)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"optimizer": {"name": "adamw", "momentum": 0.9}},
            "train.optimizer: adamw has no momentum",
        ),
        ({"optimizer": {"name": "sgd", "betas": [0.9, 0.9]}}, "train.optimizer: sgd has no betas"),
        ({"optimizer": "lion"}, "train.optimizer: 'lion' is not valid"),
        ({"schedule": {"name": "linear", "warmup": 6}}, "train.schedule: warmup is 6 steps of 6"),
    ],
)
def test_bad_settings_are_named(tiny_policy, workdir, train, message):
    with pytest.raises(UserError, match=f"config: {message}"):
        complete_config(raw(tiny_policy, **train))
