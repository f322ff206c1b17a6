"""SAM (Foret et al., arXiv 2010.01412) against its closed form, and against GRPO at rho = 0."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.grpo_trainer import arguments, history

from gxpo import ClosureBatch, MethodTrainer, load_method

CURVATURE = torch.tensor([0.1, 0.5, 1.0, 1.7], dtype=torch.float64)
START = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)


def batch_of(curvature=CURVATURE, start=START, lr=0.5, optimizer=torch.optim.SGD):
    """L = 1/2 sum h theta^2, with its parameter."""
    theta = start.clone().requires_grad_()
    loss = lambda: 0.5 * (curvature * theta**2).sum()  # noqa: E731
    return theta, ClosureBatch([theta], loss, optimizer([theta], lr=lr))


def test_by_hand():
    """h = 1, lr = 0.5, rho = 2: from 8 it looks at 10, where the gradient is 10, and steps to 3.
    The loss there is 50, at 8 it is 32."""
    theta, batch = batch_of(torch.ones(1).double(), torch.tensor([8.0]).double())
    metrics = load_method("sam", rho=2.0).update(batch)
    assert theta.item() == 3.0
    assert metrics == {"active": 1.0, "sharpness": 18.0, "ahead_norm": 10.0}
    assert (batch.cost.backward_passes, batch.cost.optimizer_steps) == (2, 1)


@settings(deadline=None, max_examples=50)
@given(
    h=st.lists(st.floats(1e-2, 2), min_size=1, max_size=5),
    rho=st.floats(0, 10),
    lr=st.floats(1e-3, 1),
)
def test_closed_form_on_a_quadratic(h, rho, lr):
    """theta - lr h (theta + rho h theta / ||h theta||)."""
    h = torch.tensor(h, dtype=torch.float64)
    start = torch.linspace(-1, 2, len(h), dtype=torch.float64)
    theta, batch = batch_of(h, start, lr)
    load_method("sam", rho=rho).update(batch)
    g = h * start
    expected = start - lr * h * (start + rho * g / g.norm())
    torch.testing.assert_close(theta.detach(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_rho_0_is_grpo_bit_for_bit(optimizer):
    ends = []
    for rule in (load_method("sam", rho=0.0), load_method("grpo")):
        theta, batch = batch_of(lr=0.1, optimizer=optimizer)
        for _ in range(5):
            rule.update(batch)
        ends.append(theta.detach())
    assert torch.equal(*ends)


def test_rho_0_is_grpo_in_trls_trainer(tiny_policy, tmp_path):
    runs = []
    for rule in (load_method("sam", rho=0.0), load_method("grpo"), load_method("sam", rho=0.5)):
        trainer = MethodTrainer(method=rule, **arguments(tiny_policy, tmp_path, accumulation=2))
        trainer.train()
        runs.append(trainer)
    sam, grpo, other = runs
    assert history(sam) == history(grpo)
    assert history(other) != history(grpo)
    for name, tensor in grpo.model.state_dict().items():
        assert torch.equal(sam.model.state_dict()[name], tensor), name
    assert (sam.cost.backward_passes, grpo.cost.backward_passes) == (6, 3)


def test_without_a_gradient_there_is_nowhere_to_look():
    theta, batch = batch_of(torch.zeros(4).double())
    assert load_method("sam").update(batch) == {"active": 0.0}
    assert torch.equal(theta.detach(), START)
    assert batch.cost.backward_passes == 1


def test_a_nan_at_the_point_ahead_fails_the_run_where_it_stood():
    theta = START.clone().requires_grad_()

    def loss():
        there = not torch.equal(theta.detach(), START)
        return 0.5 * (CURVATURE * theta**2).sum() * (math.nan if there else 1.0)

    batch = ClosureBatch([theta], loss, torch.optim.SGD([theta], lr=0.5))
    with pytest.raises(FloatingPointError, match="gradient norm is nan"):
        load_method("sam").update(batch)
    assert torch.equal(theta.detach(), START)
