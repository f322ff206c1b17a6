"""The rules against closed forms: quadratics, identities, numbers by hand, counted passes."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.quadratic import after

from gxpo import ClosureBatch, load_method
from gxpo.catalog import method_class


@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_gxpo_is_exact_on_a_diagonal_quadratic(k):
    """With SGD and alpha = 1, one GXPO step is K + 1 plain gradient steps."""
    gxpo, _ = after(load_method("gxpo", k=k, alpha=1.0))
    plain, _ = after(load_method("grpo"), updates=k + 1)
    torch.testing.assert_close(gxpo, plain, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(
    h=st.lists(st.floats(1e-3, 0.999), min_size=1, max_size=6),
    k=st.integers(2, 12),
)
def test_gxpo_is_exact_for_any_stable_curvature(h, k):
    curvature = torch.tensor(h, dtype=torch.float64)
    ends = []
    for method, updates in ((load_method("gxpo", k=k, alpha=1.0), 1), (load_method("grpo"), k + 1)):
        theta = torch.ones(len(h), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([theta], lr=1.0)
        batch = ClosureBatch([theta], lambda: 0.5 * (curvature * theta**2).sum(), optimizer)  # noqa: B023
        for _ in range(updates):
            method.update(batch)
        ends.append(theta.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-11)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_gxpo_with_k_2_is_sfpo_with_k_2(alpha, optimizer):
    gxpo, _ = after(load_method("gxpo", k=2, alpha=alpha), optimizer=optimizer, lr=0.1)
    sfpo, _ = after(load_method("sfpo", k=2, alpha=alpha), optimizer=optimizer, lr=0.1)
    torch.testing.assert_close(gxpo, sfpo, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", ["sfpo", "gxpo"])
def test_alpha_0_is_grpo_under_sgd(rule):
    moved, _ = after(load_method(rule, alpha=0.0))
    grpo, _ = after(load_method("grpo"))
    torch.testing.assert_close(moved, grpo, rtol=0, atol=1e-15)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_sfpo_with_alpha_1_is_k_plus_1_grpo_steps(k, optimizer):
    sfpo, _ = after(load_method("sfpo", k=k, alpha=1.0), optimizer=optimizer, lr=0.1)
    grpo, _ = after(load_method("grpo"), updates=k + 1, optimizer=optimizer, lr=0.1)
    assert torch.equal(sfpo, grpo)


def test_sfpo_repositions_part_of_the_way():
    """By hand: h = 1, lr = 0.5: 8 -> 4 -> 2; alpha 0.5 puts it back to 5; corrected to 2.5."""
    theta = torch.tensor([8.0], requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.5)
    batch = ClosureBatch([theta], lambda: 0.5 * (theta**2).sum(), optimizer)
    load_method("sfpo", k=2, alpha=0.5).update(batch)
    assert theta.item() == 2.5


def test_gxpo_by_hand():
    """h = 1, lr = 0.5, K = 3: r = 0.5, S_3/S_2 = 1.75/1.5; 8 -> theta_2 = 2, displacement -7,
    half of it lands on 4.5, corrected to 2.25."""
    theta = torch.tensor([8.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.5)
    batch = ClosureBatch([theta], lambda: 0.5 * (theta**2).sum(), optimizer)
    metrics = load_method("gxpo", k=3, alpha=0.5).update(batch)
    assert theta.item() == pytest.approx(2.25, abs=1e-12)
    assert metrics["g0_norm"] == 8.0
    assert metrics["g1_norm"] == 4.0
    assert metrics["g_slow_norm"] == pytest.approx(4.5)
    assert metrics["retention_mean"] == pytest.approx(0.5)
    assert metrics["scale_mean"] == pytest.approx(1.75 / 1.5)


@pytest.mark.parametrize(
    ("method", "passes"),
    [("grpo", 1), ("sfpo", 4), ("gxpo", 3)],
)
def test_counted_passes_are_the_true_ones(method, passes, monkeypatch):
    sweeps = []
    backward = torch.Tensor.backward
    monkeypatch.setattr(
        torch.Tensor, "backward", lambda self, *a, **k: (sweeps.append(1), backward(self, *a, **k))
    )
    _, batch = after(load_method(method), updates=2)
    assert len(sweeps) == batch.cost.backward_passes == 2 * passes
    assert batch.cost.optimizer_steps == 2 * passes


@pytest.mark.parametrize("k", [3, 5, 10])
def test_sfpo_pays_for_k_and_gxpo_does_not(k):
    assert after(load_method("sfpo", k=k))[1].cost.backward_passes == k + 1
    assert after(load_method("gxpo", k=k))[1].cost.backward_passes == 3


class TestRetentionAndScale:
    @pytest.fixture
    def rule(self):
        functions = inspect.unwrap(method_class("gxpo").update).__globals__
        return functions["retention_of"], functions["scale_of"]

    def test_retention(self, rule):
        retention_of, _ = rule
        g_0 = torch.tensor([2.0, -2.0, 1.0, 1.0, 0.0, -0.0, 0.0, 1.0, 1.0, math.nan])
        g_1 = torch.tensor([1.0, 1.0, 9.0, -9.0, 1.0, 1.0, 0.0, math.inf, -math.inf, 1.0])
        expected = torch.tensor([0.5, -0.5, 3.0, -2.0, 3.0, 3.0, 0.0, 1.0, 1.0, 1.0])
        assert torch.equal(retention_of(g_0, g_1, 1e-8), expected)

    def test_tiny_g_0_is_floored_with_its_sign(self, rule):
        retention_of, _ = rule
        g_0 = torch.tensor([1e-12, -1e-12], dtype=torch.float64)
        g_1 = torch.tensor([1e-8, 1e-8], dtype=torch.float64)
        r = retention_of(g_0, g_1, 1e-8)
        torch.testing.assert_close(r, torch.tensor([1.0, -1.0], dtype=torch.float64))

    @pytest.mark.parametrize("k", [2, 3, 5, 10])
    def test_scale_near_one_and_at_its_clips(self, rule, k):
        _, scale_of = rule
        r = torch.tensor([1.0, 1 - 1e-9, 3.0, -1.0, 0.0], dtype=torch.float64)
        scale = scale_of(r, k, 1e-8)
        assert scale[0] == k / 2
        assert scale[1] == pytest.approx(k / 2, rel=1e-8)
        assert scale[2] == min(sum(3.0**i for i in range(k)) / 4, k / 2 + 1)
        assert scale[3] == 1.0  # S_2 = 0
        assert scale[4] == 1.0


@given(r=st.floats(-2, 3), k=st.integers(2, 20))
def test_scale_matches_the_plain_sum(r, k):
    scale_of = inspect.unwrap(method_class("gxpo").update).__globals__["scale_of"]
    if abs(1 + r) < 1e-6:
        return
    expected = sum(r**i for i in range(k)) / (1 + r)
    got = scale_of(torch.tensor([r], dtype=torch.float64), k, 1e-8).item()
    assert got == pytest.approx(min(max(expected, 1.0), k / 2 + 1), rel=1e-9)
