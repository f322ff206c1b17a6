"""Every loss through MethodTrainer: stock TRL's own, and where the ratio is 1, one gradient."""

import pytest
import torch
from support.grpo_trainer import arguments, history
from trl import GRPOTrainer

from gxpo import MethodTrainer, load_method
from gxpo.config.losses import LOSSES, complete_loss, trl_options


def options(name):
    return trl_options(complete_loss(name, 0.2))


@pytest.mark.parametrize("name", LOSSES)
def test_grpos_one_pass_is_stock_trl_bit_for_bit(tiny_policy, tmp_path, name):
    trainers = []
    for cls, more in ((GRPOTrainer, {}), (MethodTrainer, {"method": load_method("grpo")})):
        given = arguments(tiny_policy, tmp_path, accumulation=2, **options(name))
        trainers.append(cls(**more, **given))
        trainers[-1].train()
    stock, ours = trainers
    assert history(ours) == history(stock)
    assert any(row["grad_norm"] > 0 for row in history(stock))
    for key, tensor in stock.model.state_dict().items():
        assert torch.equal(ours.model.state_dict()[key], tensor), key
    assert ours.cost.backward_passes == ours.cost.optimizer_steps == 3


@pytest.mark.parametrize("name", LOSSES)
def test_passes_of_a_rule_are_counted_for_each(tiny_policy, tmp_path, monkeypatch, name):
    sweeps, backward = [], torch.Tensor.backward
    monkeypatch.setattr(
        torch.Tensor, "backward", lambda self, *a, **k: (sweeps.append(1), backward(self, *a, **k))
    )
    trainer = MethodTrainer(
        method=load_method("sfpo"), **arguments(tiny_policy, tmp_path, 2, 2, **options(name))
    )
    trainer.train()
    assert len(sweeps) == 2 * 2 * 4
    assert trainer.cost.backward_passes == trainer.cost.optimizer_steps == 2 * 4


def one_step(policy, folder, name):
    trainer = MethodTrainer(
        method=load_method("grpo"),
        **arguments(policy, folder, steps=1, optim="sgd", learning_rate=1.0, **options(name)),
    )
    before = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    moved = [p.detach() - b for p, b in zip(trainer.model.parameters(), before, strict=True)]
    return torch.cat([m.flatten() for m in moved])


def test_losses_of_one_kind_have_one_gradient_where_the_ratio_is_one(tiny_policy, tmp_path):
    """What ``gxpo check`` says of labels; and those of other kinds have another."""
    steps = {name: one_step(tiny_policy, tmp_path, name) for name in LOSSES}
    for a in LOSSES:
        for b in LOSSES:
            close = torch.allclose(steps[a], steps[b], rtol=1e-3, atol=1e-7)
            kinds = [(LOSSES[n].on_policy, LOSSES[n].scale_rewards) for n in (a, b)]
            whole_batch = {a, b} <= {"dapo", "bnpo", "cispo", "vespo"}  # one micro-batch
            assert close == (kinds[0] == kinds[1] or whole_batch), (a, b)
