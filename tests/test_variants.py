"""Every variant of GXPO and the controls, against a plain re-statement of the formulas."""

import itertools
import json
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gxpo import ClosureBatch, load_method
from gxpo.errors import UserError
from gxpo.method import coordinates

START = [1.0, -2.0, 3.0, 0.5, 1e-7]
LR, DECAY, K, ALPHA = 0.05, 0.1, 5, 0.5


def hessian():
    """Coupled, positive definite, curvatures from 0.1 to 3."""
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]
    rotation = rotation.double()
    return rotation @ torch.diag(torch.tensor([0.1, 0.5, 1.0, 3.0]).double()) @ rotation.T


def problem(weight_decay=DECAY, max_grad_norm=1.0):
    """Clipped AdamW with weight decay over two tensors: four coordinates are coupled, the gradient
    of the last is tiny beside its neighbour's."""
    a = torch.tensor(START[:3], dtype=torch.float64, requires_grad=True)
    b = torch.tensor(START[3:], dtype=torch.float64, requires_grad=True)
    h = hessian()

    def loss():
        theta = torch.cat([a, b[:1]])
        quadratic = 0.5 * theta @ h @ theta + 0.1 * (theta**3).sum()
        return quadratic + 1e-6 * torch.sin(40 * b[1])

    optimizer = torch.optim.AdamW([a, b], lr=LR, weight_decay=weight_decay)
    return ClosureBatch([a, b], loss, optimizer, max_grad_norm)


def flat(batch):
    return torch.cat([p.detach().reshape(-1) for p in batch.parameters])


def reference(batch, *, small_gradient, retention, optimizer_state, constant=None):
    """One GXPO update, written down once more: whole vectors, no buffers saved."""
    theta_0, before = flat(batch), batch.snapshot(parameters=False)
    batch.backward()
    g_0 = torch.cat([p.grad for p in batch.parameters])
    batch.step()
    theta_1 = flat(batch)
    batch.backward()
    g_1 = torch.cat([p.grad for p in batch.parameters])
    batch.step()
    theta_2 = flat(batch)
    u_0, u_1 = g_0, g_1
    if retention == "update":
        u_0 = ((1 - LR * DECAY) * theta_0 - theta_1) / LR
        u_1 = ((1 - LR * DECAY) * theta_1 - theta_2) / LR
    scales = []
    for piece in (slice(0, 3), slice(3, 5)):
        rms = u_0[piece].square().mean().sqrt().item()
        for x, y in zip(u_0[piece].tolist(), u_1[piece].tolist(), strict=True):
            if small_gradient == "rms" and abs(x) <= 1e-3 * rms:
                scales.append(1.0)
                continue
            floor = 1e-8 if small_gradient == "floor" else 0.0
            r = min(max(y / (math.copysign(1, x) * max(abs(x), floor)), -2.0), 3.0)
            s_2 = 1 + r
            s = sum(r**n for n in range(K)) / s_2 if abs(s_2) > 1e-8 else 1.0
            scales.append(min(max(s, 1.0), K / 2 + 1))
    scale = torch.tensor(scales, dtype=torch.float64) if constant is None else constant
    target = theta_0 + ALPHA * scale * (theta_2 - theta_0)
    with torch.no_grad():
        batch.parameters[0].copy_(target[:3])
        batch.parameters[1].copy_(target[3:])
    if optimizer_state == "restore":
        batch.restore(before)
    batch.backward()
    batch.step()
    return scales


@pytest.mark.parametrize(
    ("small_gradient", "retention", "optimizer_state"),
    list(itertools.product(("floor", "rms"), ("gradient", "update"), ("keep", "restore"))),
)
def test_gxpo_equals_its_plain_restatement(small_gradient, retention, optimizer_state):
    options = {
        "small_gradient": small_gradient,
        "retention": retention,
        "optimizer_state": optimizer_state,
    }
    ours, theirs = problem(), problem()
    method = load_method("gxpo", k=K, alpha=ALPHA, gate="never", **options)
    for _ in range(4):
        metrics = method.update(ours)
        scales = reference(theirs, **options)
        torch.testing.assert_close(flat(ours), flat(theirs), rtol=0, atol=1e-10)
        assert metrics["scale_mean"] == pytest.approx(sum(scales) / 5, rel=1e-6)
    steps = {int(s["step"]) for s in ours._optimizer.state.values()}
    assert steps == ({4} if optimizer_state == "restore" else {12})


@pytest.mark.parametrize(
    "option", [{"small_gradient": "rms"}, {"retention": "update"}, {"optimizer_state": "restore"}]
)
def test_the_readings_differ(option):
    """Otherwise the comparison above could not tell them apart."""
    ends = []
    for options in ({}, option):
        batch = problem()
        method = load_method("gxpo", k=K, gate="never", **options)
        for _ in range(4):
            method.update(batch)
        ends.append(flat(batch))
    assert (ends[0] - ends[1]).abs().max() > 1e-3


def test_rms_leaves_small_coordinates_of_a_tensor_alone():
    """By hand: |g_0| of the second coordinate is 1e-4 of the first's; SGD; it keeps theta_2."""
    theta = torch.tensor([1.0, 1e-4], dtype=torch.float64, requires_grad=True)
    batch = ClosureBatch([theta], lambda: 0.5 * (theta**2).sum(), torch.optim.SGD([theta], lr=0.5))
    method = load_method("gxpo", k=5, alpha=1.0, small_gradient="rms", corrective=False)
    metrics = method.update(batch)
    assert theta[0].item() == pytest.approx(0.5**5)  # K steps, extrapolated
    assert theta[1].item() == pytest.approx(1e-4 * 0.5**2)  # the two real ones
    assert metrics["inactive_fraction"] == 0.5
    assert metrics["retention_mean"] == pytest.approx(0.5)  # of the coordinates that act


@pytest.mark.parametrize("retention", ["gradient", "update"])
@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_without_correction_the_prediction_is_k_steps_on_a_diagonal_quadratic(k, retention):
    curvature = torch.tensor([0.1, 0.5, 1.0, 1.7], dtype=torch.float64)
    ends, costs = [], []
    for rule, options in (("gxpo", {"retention": retention}), ("lookahead", {})):
        theta = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([theta], lr=0.5)
        batch = ClosureBatch([theta], lambda: 0.5 * (curvature * theta**2).sum(), optimizer)  # noqa: B023
        load_method(rule, k=k, alpha=1.0, corrective=False, **options).update(batch)
        ends.append(theta.detach())
        costs.append(batch.cost.backward_passes)
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-12)
    assert costs == [2, k]


def test_the_constant_placebo_is_sfpo_with_two_steps_and_a_longer_reach():
    """theta_0 + alpha c (theta_2 - theta_0): with alpha c <= 1 that is SFPO(2, alpha c)."""
    ours, theirs = problem(), problem()
    placebo = load_method("gxpo", k=5, alpha=0.3, scale="constant", constant_scale=2.0)
    metrics = placebo.update(ours)
    load_method("sfpo", k=2, alpha=0.6).update(theirs)
    torch.testing.assert_close(flat(ours), flat(theirs), rtol=0, atol=1e-12)
    assert metrics["displacement_ratio"] == pytest.approx(2.0)
    assert "retention_mean" not in metrics  # the formula was not evaluated


def test_the_running_mean_placebo_applies_the_mean_of_its_own_scales():
    batch, mirror = problem(), problem()
    method = load_method("gxpo", k=K, alpha=ALPHA, gate="never", scale="running_mean")
    means = []
    for _ in range(4):
        metrics = method.update(batch)
        means.append(metrics["scale_mean"])
        expected = sum(means) / len(means)
        assert metrics["displacement_ratio"] == pytest.approx(expected, rel=1e-6)
        constant = {"small_gradient": "floor", "retention": "gradient", "optimizer_state": "keep"}
        reference(mirror, **constant, constant=expected)
        torch.testing.assert_close(flat(batch), flat(mirror), rtol=0, atol=1e-6)
    assert max(means) - min(means) > 1e-3


def test_cosines_and_norms_are_those_of_the_gradients():
    batch, twin = problem(), problem()
    metrics = load_method("gxpo", k=K, cosine=True).update(batch)
    seen = []
    backward = ClosureBatch.backward

    def recording(self, *args):
        stats = backward(self, *args)
        seen.append(torch.cat([p.grad for p in self.parameters]))
        return stats

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClosureBatch, "backward", recording)
        load_method("gxpo", k=K).update(twin)
    g_0, g_1, slow = seen
    cosine = torch.nn.functional.cosine_similarity
    assert metrics["cos_g0_g_slow"] == pytest.approx(cosine(g_0, slow, dim=0).item())
    assert metrics["probe_cosine"] == pytest.approx(cosine(g_0, g_1, dim=0).item())
    assert metrics["g_slow_norm"] == pytest.approx(slow.norm().item())


@pytest.mark.parametrize("retention", ["gradient", "update"])
def test_where_buffers_live_and_how_they_are_cut_changes_nothing(retention, monkeypatch):
    ends = []
    for buffers, size in (("device", 2**16), ("cpu", 2**16), ("device", 2), ("cpu", 2)):
        monkeypatch.setitem(coordinates.BUCKET_SIZE, "cpu", size)
        batch = problem()
        method = load_method("gxpo", buffers=buffers, retention=retention, small_gradient="rms")
        for _ in range(3):
            method.update(batch)
        ends.append(flat(batch))
    assert all(torch.equal(end, ends[0]) for end in ends)


def test_warmup_steps_are_grpo():
    ours, theirs = problem(), problem()
    method = load_method("gxpo", warmup_steps=2)
    active = [method.update(ours)["active"] for _ in range(2)]
    for _ in range(2):
        load_method("grpo").update(theirs)
    assert active == [0, 0]
    assert torch.equal(flat(ours), flat(theirs))
    assert method.update(ours)["active"] == 1
    assert ours.cost.backward_passes == 2 + 3


@pytest.mark.parametrize("rule", ["gxpo", "lookahead"])
def test_a_temporary_fallback_acts_again_with_its_memory_kept(rule):
    """Growing gradients trip the gate; after two GRPO steps it opens and judges at once."""
    theta = torch.ones(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.1)
    batch = ClosureBatch([theta], lambda: -0.5 * (theta**2).sum(), optimizer)
    method = load_method(rule, tau=0.5, window=2, rearm_after=2)
    active = [method.update(batch)["active"] for _ in range(9)]
    assert active == [1, 1, 1, 0, 0, 1, 0, 0, 1]


def test_lookahead_with_sfpos_choices_is_sfpo():
    ours, theirs = problem(), problem()
    lookahead = load_method("lookahead", k=4, alpha=0.7, gate="never", old_logprobs="keep")
    sfpo = load_method("sfpo", k=4, alpha=0.7)
    for _ in range(3):
        lookahead.update(ours)
        sfpo.update(theirs)
    assert torch.equal(flat(ours), flat(theirs))
    assert ours.cost.backward_passes == theirs.cost.backward_passes == 15


def test_lookahead_can_restore_the_moments():
    batch = problem()
    load_method("lookahead", k=4, optimizer_state="restore").update(batch)
    assert {int(s["step"]) for s in batch._optimizer.state.values()} == {1}


@pytest.mark.parametrize("m", [1, 3])
def test_inner_epochs_are_m_steps_on_the_batch(m):
    ours, theirs = problem(), problem()
    load_method("inner_epochs", m=m).update(ours)
    for _ in range(m):
        load_method("grpo").update(theirs)
    assert torch.equal(flat(ours), flat(theirs))
    assert ours.cost.backward_passes == m


@pytest.mark.parametrize("rule", ["gxpo", "lookahead"])
def test_zero_gradients_are_not_followed(rule):
    theta = torch.ones(2, requires_grad=True)
    batch = ClosureBatch([theta], lambda: 0 * theta.sum(), torch.optim.SGD([theta], lr=0.1))
    assert load_method(rule).update(batch) == {"active": 0.0, "fallback_steps": 1.0}
    assert batch.cost.backward_passes == 1


@pytest.mark.parametrize("optimizer_state", ["keep", "restore"])
def test_a_broken_second_probe_puts_back_what_was_asked(optimizer_state):
    """The loss is NaN anywhere but at theta_0; Adam's state says how many steps it remembers."""
    theta = torch.ones(2, dtype=torch.float64, requires_grad=True)

    def loss():
        at_start = torch.equal(theta.detach(), torch.ones(2, dtype=torch.float64))
        return (theta**2).sum() * (1.0 if at_start else math.nan)

    batch = ClosureBatch([theta], loss, torch.optim.AdamW([theta], lr=0.1))
    load_method("gxpo", optimizer_state=optimizer_state).update(batch)
    (state,) = batch._optimizer.state.values()
    assert int(state["step"]) == {"keep": 2, "restore": 1}[optimizer_state]


VARIANTS = [
    ("gxpo", {"scale": "running_mean", "window": 3, "tau": 0.5}),
    ("gxpo", {"gate": "ema", "two_sided": True, "min_observations": 0, "tau": 3.0}),
    ("gxpo", {"warmup_steps": 4, "rearm_after": 2, "window": 2, "tau": 0.1}),
    ("gxpo", {"retention": "update", "optimizer_state": "restore"}),
    ("lookahead", {"k": 2, "window": 2, "tau": 0.1, "rearm_after": 2}),
    ("inner_epochs", {}),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_state_dict_makes_resume_exact(name, options):
    whole, first, second = (load_method(name, **options) for _ in range(3))
    one, two = problem(), problem()
    for _ in range(9):
        whole.update(one)
    for _ in range(5):
        first.update(two)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for _ in range(4):
        second.update(two)
    assert torch.equal(flat(one), flat(two))
    assert json.dumps(whole.state_dict()) == json.dumps(second.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "constant", "constant_scale": 4.0, "k": 5}, r"constant_scale .* \[1, 3.5\]"),
        ({"warmup_steps": -1}, "warmup_steps"),
        ({"rearm_after": 0}, "rearm_after"),
        ({"gate": "ema", "min_observations": -1}, "min_observations"),
        ({"min_observations": 0}, "min_observations"),
        ({"retention": "adam"}, "retention"),
    ],
)
def test_bad_hyperparameters_are_named(options, message):
    with pytest.raises(UserError, match=message):
        load_method("gxpo", **options)


class CountsReads(TorchDispatchMode):
    """Counts values that the host waits for."""

    def __init__(self):
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.reads += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("options", [{}, {"small_gradient": "rms", "retention": "update"}])
def test_the_host_does_not_wait_once_per_parameter(options):
    """Loss and norm of each pass; the diagnostics are one ``tolist`` more."""
    reads = []
    for n in (1, 50):
        parameters = [torch.full((3,), 2.0, requires_grad=True) for _ in range(n)]
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        batch = ClosureBatch(parameters, lambda: sum((p**2).sum() for p in parameters), optimizer)  # noqa: B023
        with CountsReads() as counter:
            load_method("gxpo", **options).update(batch)
        reads.append(counter.reads)
    assert reads == [6, 6]
