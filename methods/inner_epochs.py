"""GRPO with inner epochs: several clipped steps on every rollout batch (arXiv 2402.03300, Algorithm
1 with mu > 1; the clipped surrogate of PPO, arXiv 1707.06347, equation 7)."""

from typing import ClassVar, Literal

from gxpo.method import Method, PolicyBatch


class InnerEpochs(Method):
    """m gradient steps per rollout batch, the importance ratio against the rollout policy. The
    equal-compute control of the lookahead rules: m = 3 costs the backward passes of GXPO, m = K+1
    those of SFPO. Unlike TRL's ``num_iterations``, the m steps are one update: learning-rate
    schedule, logging and checkpoints advance once.

    m: backward passes and steps per update (GRPO's mu).
    old_logprobs: ratio against the rollout policy, so that PPO's clipping acts (keep), or 1 at
        every pass (refresh).
    """

    equals_grpo_with: ClassVar = [{"m": 1}]

    def __init__(self, m: int = 3, old_logprobs: Literal["keep", "refresh"] = "keep"):
        if m < 1:
            raise ValueError(f"m must be at least 1, not {m}")
        self.m = m
        self.old_logprobs = old_logprobs

    def update(self, batch: PolicyBatch) -> dict[str, float]:
        for _ in range(self.m):
            last = batch.backward(self.old_logprobs == "refresh")
            batch.step()
        return {"last_grad_norm": last.grad_norm}
