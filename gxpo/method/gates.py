"""Switch-off gates: watch one scalar per step and close on an excursion, for good by default.

A gate decides from numbers that the harness has already reduced over all processes, so ranks
cannot disagree. Non-finite observations are ignored: they are neither judged nor remembered.
Sources: GXPO, arXiv 2605.06755 and its authors' code; SFPO, arXiv 2510.04072 and its release.
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal


class Gate(ABC):
    """Open (``active``) until an observation's z-score reaches the threshold; then closed.

    threshold: of z, in standard deviations of what the gate remembers.
    two_sided: close on a downward excursion too (|z|; GXPO's first release).
    rearm_after: steps after which a closed gate opens again, its memory as it was when it closed
        (the temporary fallback of GXPO's ablation); default: never.
    """

    _memory: ClassVar[set[str]] = {"active", "z", "rested"}  # the attributes that change

    def __init__(self, threshold: float, two_sided: bool = False, rearm_after: int | None = None):
        self.threshold = threshold
        self.two_sided = two_sided
        self.rearm_after = rearm_after
        self.active = True
        self.rested = 0
        self.z = math.nan  # of the latest judged observation

    def observe(self, value: float) -> None:
        """Judge ``value`` and remember it. A closed gate ignores everything."""
        if not self.active or not math.isfinite(value):
            return
        self.z = self._judge_and_remember(value)
        if (abs(self.z) if self.two_sided else self.z) >= self.threshold:
            self.active = False

    def rest(self) -> None:
        """Tell a closed gate that a step passed without an observation."""
        self.rested += 1
        if self.rested == self.rearm_after:
            self.active = True
            self.rested = 0

    @abstractmethod
    def _judge_and_remember(self, value: float) -> float:
        """The z-score of ``value``, NaN while there is too little to judge it against."""

    def state_dict(self) -> dict[str, Any]:
        """JSON values: the memory and whether the gate is open."""
        return {key: value for key, value in vars(self).items() if key in self._memory}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where ``state_dict()`` was taken."""
        if set(state) != self._memory:
            raise ValueError(
                f"{type(self).__name__} needs {sorted(self._memory)}, not {sorted(state)}"
            )
        vars(self).update(state)


class NeverGate(Gate):
    """Never closes: the ablation without a switch-off."""

    def __init__(self) -> None:
        super().__init__(threshold=math.inf)

    def _judge_and_remember(self, value: float) -> float:
        return math.nan


class WindowGate(Gate):
    """z against the mean and population standard deviation (+ 1e-9) of a rolling window.

    include_current=False: the window precedes the value (GXPO, authors' later launchers).
    include_current=True: the value is the window's last member (SFPO's release).
    min_observations: values the window must hold before anything is judged; default: full.
    """

    _memory: ClassVar[set[str]] = {*Gate._memory, "values"}

    def __init__(
        self,
        threshold: float,
        window: int = 30,
        min_observations: int | None = None,
        include_current: bool = False,
        two_sided: bool = False,
        rearm_after: int | None = None,
    ):
        super().__init__(threshold, two_sided, rearm_after)
        self.window = window
        self.min_observations = window if min_observations is None else min_observations
        self.include_current = include_current
        self.values: list[float] = []

    def _judge_and_remember(self, value: float) -> float:
        with_current = [*self.values, value][-self.window :]
        against = with_current if self.include_current else self.values
        self.values = with_current
        if len(against) < max(self.min_observations, 1):
            return math.nan
        return (value - statistics.fmean(against)) / (statistics.pstdev(against) + 1e-9)


class EmaGate(Gate):
    """z against exponential moving moments (GXPO paper's protocol script: omega 0.1, tau 0.5).

    z = (H - mu) / (sigma + 1e-8); then sigma^2 <- (1 - omega) sigma^2 + omega (H - mu_old)^2,
    sigma >= 0.01, and mu <- (1 - omega) mu + omega H, from mu = sigma = 1. The first
    ``min_observations`` values only feed the moments. Not scale-free: mu starts at 1. (The first
    release judged from the first observation on, two-sided.)
    """

    _memory: ClassVar[set[str]] = {*Gate._memory, "mean", "std", "seen"}

    def __init__(
        self,
        threshold: float,
        omega: float = 0.1,
        min_observations: int = 2,
        two_sided: bool = False,
        rearm_after: int | None = None,
    ):
        super().__init__(threshold, two_sided, rearm_after)
        self.omega = omega
        self.min_observations = min_observations
        self.mean = 1.0
        self.std = 1.0
        self.seen = 0

    def _judge_and_remember(self, value: float) -> float:
        deviation = value - self.mean
        z = deviation / (self.std + 1e-8) if self.seen >= self.min_observations else math.nan
        variance = (1 - self.omega) * self.std**2 + self.omega * deviation**2
        self.std = max(math.sqrt(variance), 0.01)
        self.mean = (1 - self.omega) * self.mean + self.omega * value
        self.seen += 1
        return z


def make_gate(
    gate: Literal["window", "ema", "never"],
    tau: float,
    window: int = 30,
    min_observations: int | None = None,
    omega: float = 0.1,
    two_sided: bool = False,
    rearm_after: int | None = None,
) -> Gate:
    """GXPO's gate of that name. ``min_observations`` is by default a full window, or 2 with ema.

    Raises ValueError naming the argument that is out of range.
    """
    if not tau > 0:
        raise ValueError(f"tau must be positive, not {tau}")
    if window < 2:
        raise ValueError(f"window must be at least 2, not {window}")
    if not 0 < omega < 1:
        raise ValueError(f"omega must lie in (0, 1), not {omega}")
    if rearm_after is not None and rearm_after < 1:
        raise ValueError(f"rearm_after must be at least 1, not {rearm_after}")
    if gate == "never":
        return NeverGate()
    if gate == "ema":
        judged_after = 2 if min_observations is None else min_observations
        if judged_after < 0:
            raise ValueError(f"min_observations must be at least 0, not {min_observations}")
        return EmaGate(tau, omega, judged_after, two_sided, rearm_after)
    if min_observations is not None and not 1 <= min_observations <= window:
        raise ValueError(
            f"min_observations must lie in [1, window={window}], not {min_observations}"
        )
    return WindowGate(tau, window, min_observations, False, two_sided, rearm_after)
