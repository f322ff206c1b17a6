"""GXPO: Gradient Extrapolation-Based Policy Optimization (arXiv 2605.06755, May 2026)."""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from gxpo.method import EmaGate, Gate, Method, NeverGate, PolicyBatch, WindowGate

SMALLEST_G0_NORM = 1e-8  # below it all advantages are zero: there is nothing to extrapolate


class GXPO(Method):
    """Two probe steps predict where K steps would lead; move part of the way there, correct once.
    Three backward passes while active, whatever K is; GRPO for good once the gate has closed.

    k: steps of the predicted lookahead (paper's protocol script: 3, 5, 10).
    alpha: fraction of the predicted displacement that is taken (paper: 0.5; sweep 0.1, 0.5, 1.0).
    tau: z-score of the corrective gradient's norm at which the gate closes (authors' later
        launchers: 2.0 with gate=window; paper's protocol script: 0.5 with gate=ema).
    delta: floor of the divisor |g0| and of |S_2| (paper: 1e-8).
    gate: window (authors' later launchers; default, because scale-free), ema (paper's protocol
        script) or never (ablation).
    window: values the window gate judges against (authors' later launchers: 30).
    min_observations: values the gate must have before it judges; default: a full window, or 2
        with gate=ema. 2 with gate=window and tau=0.5 is the paper's algorithm as its authors'
        comments read it.
    omega: weight of the newest value in the ema gate (paper's protocol script: 0.1).
    small_gradient: floor divides by sign(g0) max(|g0|, delta) (paper's protocol).
    old_logprobs: importance ratio 1 at every pass (refresh, paper's protocol script) or against
        theta_0 (keep).
    """

    def __init__(
        self,
        k: int = 5,
        alpha: float = 0.5,
        tau: float = 2.0,
        delta: float = 1e-8,
        gate: Literal["window", "ema", "never"] = "window",
        window: int = 30,
        min_observations: int | None = None,
        omega: float = 0.1,
        small_gradient: Literal["floor"] = "floor",
        old_logprobs: Literal["refresh", "keep"] = "refresh",
    ):
        if k < 2:
            raise ValueError(f"k must be at least 2 (two probe steps are real), not {k}")
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], not {alpha}")
        if tau <= 0:
            raise ValueError(f"tau must be positive, not {tau}")
        if delta <= 0:
            raise ValueError(f"delta must be positive, not {delta}")
        if window < 2:
            raise ValueError(f"window must be at least 2, not {window}")
        if min_observations is not None and not 1 <= min_observations <= window:
            raise ValueError(
                f"min_observations must lie in [1, window={window}], not {min_observations}"
            )
        if not 0 < omega < 1:
            raise ValueError(f"omega must lie in (0, 1), not {omega}")
        self.k = k
        self.alpha = alpha
        self.tau = tau
        self.delta = delta
        self.gate = gate
        self.window = window
        self.min_observations = min_observations
        self.omega = omega
        self.small_gradient = small_gradient
        self.old_logprobs = old_logprobs
        self._gate = self._make_gate()
        self.fallback_steps = 0

    def _make_gate(self) -> Gate:
        if self.gate == "never":
            return NeverGate()
        if self.gate == "ema":
            judged_after = 2 if self.min_observations is None else self.min_observations
            return EmaGate(self.tau, self.omega, judged_after)
        return WindowGate(self.tau, self.window, self.min_observations)

    def update(self, batch: PolicyBatch) -> dict[str, float]:
        if not self._gate.active:
            batch.backward()
            batch.step()
            return {"active": 0.0, "fallback_steps": float(self.fallback_steps)}
        refresh = self.old_logprobs == "refresh"

        # First probe: raw gradient g_0 at theta_0, step to theta_1
        theta_0 = batch.snapshot(optimizer_state=False)
        first = batch.backward()
        if not SMALLEST_G0_NORM < first.grad_norm < math.inf:
            batch.step()  # nothing to extrapolate: this is the GRPO step
            return self._count_fallback()
        g_0 = [_grad(p).clone() for p in batch.parameters]
        batch.step()

        # Second probe: raw gradient g_1 at theta_1; the g_0 buffer becomes the scale before the
        # step to theta_2 clips and consumes g_1 (so two parameter-sized buffers are enough)
        second = batch.backward(refresh)
        if not math.isfinite(second.grad_norm):
            batch.restore(theta_0)
            batch.backward()
            batch.step()
            return self._count_fallback()
        scale, means = self._extrapolate(batch.parameters, g_0)
        batch.step()

        # Reposition: theta <- theta_0 + alpha scale (theta_2 - theta_0)
        with torch.no_grad():
            theta = batch.parameters
            torch._foreach_sub_(theta, theta_0.parameters)
            torch._foreach_mul_(theta, scale)
            torch._foreach_mul_(theta, self.alpha)
            torch._foreach_add_(theta, theta_0.parameters)
        del theta_0, g_0, scale

        # Slow correction at the repositioned point
        slow = batch.backward(refresh)
        batch.step()

        self._gate.observe(slow.grad_norm)
        return {
            "active": 1.0,
            "fallback_steps": float(self.fallback_steps),
            "gate_z": self._gate.z,
            "g0_norm": first.grad_norm,
            "g1_norm": second.grad_norm,
            "g_slow_norm": slow.grad_norm,
            **means,
        }

    @torch.no_grad()
    def _extrapolate(
        self, parameters: list[Tensor], g_0: list[Tensor]
    ) -> tuple[list[Tensor], dict[str, float]]:
        """Turn each g_0 into its scale S_K/S_2 in place, given g_1 in ``.grad``."""
        sums = []
        for p, g in zip(parameters, g_0, strict=True):
            retention = retention_of(g, _grad(p), self.delta)
            scale = scale_of(retention, self.k, self.delta)
            sums.append(torch.stack([retention.sum(), scale.sum()]))
            g.copy_(scale)
        total = sum(p.numel() for p in parameters)
        retention_mean, scale_mean = (torch.stack(sums).sum(0) / total).tolist()
        return g_0, {"retention_mean": retention_mean, "scale_mean": scale_mean}

    def _count_fallback(self) -> dict[str, float]:
        self.fallback_steps += 1
        return {"active": 0.0, "fallback_steps": float(self.fallback_steps)}

    def state_dict(self) -> dict[str, Any]:
        return {"gate": self._gate.state_dict(), "fallback_steps": self.fallback_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._gate.load_state_dict(state["gate"])
        self.fallback_steps = state["fallback_steps"]


def retention_of(g_0: Tensor, g_1: Tensor, delta: float) -> Tensor:
    """Per coordinate r = g_1/g_0 with |g_0| floored at delta (sign(0) = +1), clipped to [-2, 3];
    where that is not finite, 1. Same shape as g_0."""
    g_0, g_1 = _at_least_float32(g_0), _at_least_float32(g_1)
    divisor = torch.where(g_0 < 0, g_0.clamp(max=-delta), g_0.clamp(min=delta))
    return (g_1 / divisor).nan_to_num_(nan=1.0, posinf=1.0, neginf=1.0).clamp_(-2.0, 3.0)


def scale_of(retention: Tensor, k: int, delta: float) -> Tensor:
    """S_K(r)/S_2(r) with S_n(r) = 1 + r + ... + r^(n-1), clipped to [1, K/2 + 1]; 1 where
    |S_2| <= delta. Horner's sums: (1 - r^n)/(1 - r) loses all digits near r = 1."""
    s_2 = 1 + retention
    s_k = torch.ones_like(retention)
    for _ in range(k - 1):
        s_k.mul_(retention).add_(1)
    scale = torch.where(s_2.abs() <= delta, 1.0, s_k / s_2)
    return scale.clamp_(1.0, k / 2 + 1)


def _grad(p: Tensor) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
