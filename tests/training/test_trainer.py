"""MethodTrainer against stock TRL, true sweeps, and its refusals."""

import math

import pytest
import torch
from support.grpo_trainer import arguments, history
from trl import GRPOTrainer

from gxpo import MethodTrainer, load_method
from gxpo.host import UserError
from gxpo.method import Method


@pytest.mark.parametrize(
    "options",
    [
        {"accumulation": 1},
        {"accumulation": 2},
        {"num_iterations": 2, "steps": 4},
        {"steps_per_generation": 2, "steps": 4},
        {"beta": 0.04},
        {"beta": 0.04, "sync_ref_model": True, "ref_model_sync_steps": 1},
        {"loss_type": "dapo", "mask_truncated_completions": True, "accumulation": 2},
        {"gradient_checkpointing": True},
        {"bf16": True},
    ],
    ids=lambda options: ",".join(f"{k}={v}" for k, v in options.items()),
)
def test_grpo_is_bit_identical_to_stock_trl(tiny_policy, tmp_path, options):
    stock = GRPOTrainer(**arguments(tiny_policy, tmp_path, **options))
    stock.train()
    ours = MethodTrainer(method=load_method("grpo"), **arguments(tiny_policy, tmp_path, **options))
    ours.train()
    assert len(history(stock)) == options.get("steps", 3)
    assert any(row["grad_norm"] > 0 for row in history(stock))
    assert history(ours) == history(stock)
    for name, tensor in stock.model.state_dict().items():
        assert torch.equal(ours.model.state_dict()[name], tensor), name
    assert ours.cost.backward_passes == ours.cost.optimizer_steps == options.get("steps", 3)


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize(("rule", "passes"), [("grpo", 1), ("sfpo", 4), ("gxpo", 3)])
def test_counts_are_the_true_ones(tiny_policy, tmp_path, monkeypatch, rule, passes, accumulation):
    sweeps, stepped = [], []
    backward = torch.Tensor.backward
    monkeypatch.setattr(
        torch.Tensor, "backward", lambda self, *a, **k: (sweeps.append(1), backward(self, *a, **k))
    )
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self, *a, **k: (stepped.append(1), step(self, *a, **k))
    )
    trainer = MethodTrainer(
        method=load_method(rule), **arguments(tiny_policy, tmp_path, accumulation, steps=2)
    )
    trainer.train()
    assert len(sweeps) == 2 * passes * accumulation
    assert trainer.cost.backward_passes == 2 * passes
    assert len(stepped) == trainer.cost.optimizer_steps == 2 * passes
    assert trainer.cost.backward_tokens == trainer.cost.forward_tokens > 0
    assert trainer.cost.backward_tokens % passes == 0
    assert trainer.state.global_step == 2  # probe steps are not training steps


class Recorder(Method):
    """Takes passes as told and keeps what it saw."""

    def __init__(self):
        self.seen = []
        self.same_at_start = True
        self.ratio_matters = False

    def update(self, batch):
        start = batch.snapshot(optimizer_state=False)
        first = batch.backward()
        grads = [p.grad.clone() for p in batch.parameters]
        again = batch.backward()
        assert all(torch.equal(a, p.grad) for a, p in zip(grads, batch.parameters, strict=True))
        kept_at_start = grads
        batch.step()
        moved = batch.snapshot(optimizer_state=False)
        keep = batch.backward(refresh_old_logprobs=False)
        kept = [p.grad.clone() for p in batch.parameters]
        refresh = batch.backward(refresh_old_logprobs=True)
        refreshed = [p.grad.clone() for p in batch.parameters]
        batch.restore(start)
        back = batch.backward()
        at_start = [p.grad.clone() for p in batch.parameters]
        batch.step()
        self.seen.append((first, again, keep, refresh, back))
        self.same_at_start &= all(
            torch.equal(a, b) for a, b in zip(kept_at_start, at_start, strict=True)
        )
        self.ratio_matters |= any(
            not torch.allclose(a, b) for a, b in zip(kept, refreshed, strict=True)
        )
        assert not torch.equal(moved.parameters[0], start.parameters[0])
        return {}


@pytest.mark.parametrize("accumulation", [1, 2])
def test_replays_are_gradients_of_the_same_batch(tiny_policy, tmp_path, accumulation):
    recorder = Recorder()
    MethodTrainer(
        method=recorder,
        **arguments(tiny_policy, tmp_path, accumulation, steps=2, learning_rate=1e-2),
    ).train()
    for first, again, _, refresh, back in recorder.seen:
        assert again == first == back
        assert refresh.loss == pytest.approx(0, abs=1e-6)  # ratio 1: advantages sum to zero
        assert math.isfinite(first.entropy)
    assert recorder.same_at_start
    assert recorder.ratio_matters


def test_rollouts_after_a_multi_pass_rule_follow_from_parameters_and_seed(tiny_policy, tmp_path):
    """Replays draw no random numbers: alpha = 0 with SGD is GRPO, rollouts included."""
    runs = []
    for method in (load_method("grpo"), load_method("sfpo", k=2, alpha=0.0)):
        trainer = MethodTrainer(
            method=method, **arguments(tiny_policy, tmp_path, optim="sgd", learning_rate=0.1)
        )
        trainer.train()
        runs.append([row["reward"] for row in history(trainer)])
    assert runs[0] == runs[1]


class StopsBeforeTheEnd(Method):
    """Its last act is a reposition, not a step: the Trainer's own step must then do nothing."""

    def __init__(self):
        self.after = None
        self.norms = []

    def update(self, batch):
        self.norms.append(batch.backward().grad_norm)
        batch.step()
        with torch.no_grad():
            torch._foreach_mul_(batch.parameters, 0.5)
        self.after = [p.detach().clone() for p in batch.parameters]
        return {}


@pytest.mark.parametrize("steps", [1, 2])
def test_an_update_may_end_without_a_step(tiny_policy, tmp_path, steps):
    method = StopsBeforeTheEnd()
    trainer = MethodTrainer(method=method, **arguments(tiny_policy, tmp_path, steps=steps))
    trainer.train()
    for now, then in zip(trainer.trainable_parameters, method.after, strict=True):
        assert torch.equal(now, then)
    assert trainer.cost.optimizer_steps == steps
    assert trainer.grad_norm == method.norms[-1]
    assert method.norms[0] > 0


class MovesBeforeItLooks(Method):
    """As Nesterov's rule does: the gradient that the Trainer has made is of another place."""

    def __init__(self, restore):
        self.restore = restore
        self.same = []

    def update(self, batch):
        start = batch.snapshot()
        with torch.no_grad():
            torch._foreach_mul_(batch.parameters, 1.1)
        if self.restore:
            batch.restore(start)
        first = batch.backward()
        gradients = [g.clone() for g in batch.gradients]
        again = batch.backward()
        equal = all(torch.equal(a, b) for a, b in zip(gradients, batch.gradients, strict=True))
        self.same.append(equal and first == again)
        return {}


@pytest.mark.parametrize("restore", [False, True])
def test_the_first_gradient_is_that_of_where_the_parameters_are(tiny_policy, tmp_path, restore):
    method = MovesBeforeItLooks(restore)
    options = {"steps": 2, "learning_rate": 1e-2}
    trainer = MethodTrainer(method=method, **arguments(tiny_policy, tmp_path, **options))
    trainer.train()
    assert method.same == [True, True]
    assert trainer.cost.backward_passes == 6  # the Trainer's own was made all the same


class WritesToStaleTensors(Method):
    def __init__(self):
        pass

    def update(self, batch):
        stale = batch.parameters
        batch.backward()
        batch.step()
        with torch.no_grad():
            torch._foreach_mul_(stale, 0.5)
        return {}


def test_writing_to_tensors_read_before_a_step_is_caught(tiny_policy, tmp_path):
    trainer = MethodTrainer(
        method=WritesToStaleTensors(), **arguments(tiny_policy, tmp_path, steps=1)
    )
    with pytest.raises(RuntimeError, match=r"read batch\.parameters again"):
        trainer.train()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_iterations": 2, "save_strategy": "steps", "save_steps": 1}, "generation cycle"),
        ({"use_adaptive_entropy": True}, "adaptive entropy"),
    ],
)
def test_settings_that_would_lie_are_refused(tiny_policy, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        MethodTrainer(method=load_method("grpo"), **arguments(tiny_policy, tmp_path, **options))


def test_dropout_is_refused(tiny_policy, tmp_path):
    kwargs = arguments(tiny_policy, tmp_path)
    kwargs["model"].config.attention_dropout = 0.1
    with pytest.raises(UserError, match=r"dropout 0\.1"):
        MethodTrainer(method=load_method("grpo"), **kwargs)
