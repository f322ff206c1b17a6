"""SAM: Sharpness-Aware Minimization (Foret et al., arXiv 2010.01412) of the GRPO loss."""

import math
from typing import ClassVar

import torch

from gxpo.method import Method, PolicyBatch

SMALLEST_NORM = 1e-8  # not above it all advantages are zero: there is no direction to look in


class SAM(Method):
    """Looks rho ahead in the direction in which the batch's loss grows fastest, and steps from
    where it stands with the gradient found there. Two backward passes. The loss is GRPO's with its
    importance ratio against the rollout policy in both passes: the same function at two points.

    rho: L2 distance of the look ahead, over all trainable parameters (paper: 0.05, its default; it
        sweeps 0.01 to 0.5). 0 is GRPO at twice the price.
    """

    equals_grpo_with: ClassVar = [{"rho": 0.0}]

    def __init__(self, rho: float = 0.05):
        if not 0 <= rho < math.inf:
            raise ValueError(f"rho must be at least 0, not {rho}")
        self.rho = rho

    def update(self, batch: PolicyBatch) -> dict[str, float]:
        # Gradient of the batch's loss at w (Algorithm 1)
        g = batch.backward()
        if not SMALLEST_NORM < g.grad_norm < math.inf:
            batch.step()  # nothing to look for: this is the GRPO step
            return {"active": 0.0}

        # epsilon = rho g / ||g|| (equation 2 with p = 2), added to w
        w = batch.snapshot(optimizer_state=False)
        with torch.no_grad():
            torch._foreach_add_(batch.parameters, batch.gradients, alpha=self.rho / g.grad_norm)

        # Gradient at w + epsilon; the step with it starts from w
        ahead = batch.backward()
        batch.restore(w)
        batch.step()
        return {"active": 1.0, "sharpness": ahead.loss - g.loss, "ahead_norm": ahead.grad_norm}
