"""ClosureBatch: what a rule reads and writes through it."""

import math

import pytest
import torch
from support.quadratic import CURVATURE, START, quadratic

from gxpo import load_method


class TestClosureBatch:
    def test_what_a_rule_writes_into_the_gradient_must_be_finite(self):
        theta, batch = quadratic(lr=1.0)
        batch.backward()
        batch.gradients[0][0] = math.inf
        with pytest.raises(FloatingPointError, match="gradient norm is inf as the rule left it"):
            batch.step()
        assert torch.equal(theta.detach(), START)

    def test_gradients_are_raw_and_the_step_clips(self):
        theta, batch = quadratic(lr=1.0, max_grad_norm=0.1)
        stats = batch.backward()
        assert torch.equal(theta.grad, CURVATURE * START)
        assert stats.grad_norm == pytest.approx((CURVATURE * START).norm().item())
        assert stats.loss == pytest.approx(0.5 * (CURVATURE * START**2).sum().item())
        batch.step()
        assert (theta.detach() - START).norm().item() == pytest.approx(0.1, rel=1e-4)

    def test_step_needs_a_backward(self):
        _, batch = quadratic()
        with pytest.raises(RuntimeError, match="needs a backward"):
            batch.step()

    def test_snapshot_restores_parameters_and_optimizer_bit_for_bit(self):
        theta, batch = quadratic(optimizer=torch.optim.AdamW, lr=0.1)
        for _ in range(3):
            load_method("grpo").update(batch)
        snapshot = batch.snapshot()
        load_method("grpo").update(batch)
        once = theta.detach().clone()
        for _ in range(2):  # a snapshot may be restored again
            load_method("grpo").update(batch)
            batch.restore(snapshot)
        load_method("grpo").update(batch)
        assert torch.equal(theta.detach(), once)

    def test_a_snapshot_before_the_first_step_empties_the_optimizer(self):
        theta, batch = quadratic(optimizer=torch.optim.AdamW, lr=0.1)
        snapshot = batch.snapshot(parameters=False)
        load_method("grpo").update(batch)
        moved = theta.detach().clone()
        batch.restore(snapshot)
        assert torch.equal(theta.detach(), moved)  # parameters were left out
        assert batch._optimizer.state.get(theta) is None
