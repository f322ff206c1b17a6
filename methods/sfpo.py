"""SFPO: Slow-Fast Policy Optimization (arXiv 2510.04072, ICLR 2026; public release)."""

from typing import Any, Literal

from gxpo.method import Method, PolicyBatch, WindowGate, lookahead


class SFPO(Method):
    """K fast steps on the batch, move back part of the way, one slow correction. K+1 backward
    passes while active. Adam's moments are not rolled back at the reposition (as in the release).

    k: fast steps (release: 3; the GXPO paper runs 3, 5, 10).
    alpha: fraction of the fast displacement that is kept (release: 0.8; GXPO paper: 0.5).
    window, threshold: switch-off: z-score of the policy's entropy at the slow correction in a
        rolling window, the current value included (release: 30 and 1.0; GXPO paper: threshold 2.0).
    two_sided: close on |z|, as the paper's text has it; the release closes on z alone.
    old_logprobs: importance ratio against the rollout policy (keep, the release), or 1 at every
        pass (refresh).
    """

    def __init__(
        self,
        k: int = 3,
        alpha: float = 0.8,
        window: int = 30,
        threshold: float = 1.0,
        two_sided: bool = False,
        old_logprobs: Literal["keep", "refresh"] = "keep",
    ):
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], not {alpha}")
        if window < 2:
            raise ValueError(f"window must be at least 2, not {window}")
        if not threshold > 0:
            raise ValueError(f"threshold must be positive, not {threshold}")
        self.k = k
        self.alpha = alpha
        self.window = window
        self.threshold = threshold
        self.two_sided = two_sided
        self.old_logprobs = old_logprobs
        self._gate = WindowGate(threshold, window, include_current=True, two_sided=two_sided)

    def update(self, batch: PolicyBatch) -> dict[str, float]:
        if not self._gate.active:
            batch.backward()
            batch.step()
            return {"active": 0.0}
        _, slow = lookahead(batch, self.k, self.alpha, refresh=self.old_logprobs == "refresh")
        self._gate.observe(slow.entropy)
        return {
            "active": 1.0,
            "gate_z": self._gate.z,
            "g_slow_norm": slow.grad_norm,
            "slow_entropy": slow.entropy,
        }

    def state_dict(self) -> dict[str, Any]:
        return self._gate.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._gate.load_state_dict(state)
