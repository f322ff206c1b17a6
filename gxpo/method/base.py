"""What an update rule is (``Method``) and all it sees of training (``PolicyBatch``)."""

from __future__ import annotations

import copy
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gxpo.method.coordinates import copy_into, copy_of


@dataclass(frozen=True)
class GradientStats:
    """One gradient of the whole rollout batch, reduced over micro-batches and processes.

    loss: the batch loss, dimensionless.
    grad_norm: L2 norm over all trainable parameters, before clipping.
    entropy: mean policy entropy per completion token, in nats; NaN where there is no policy.
    """

    loss: float
    grad_norm: float
    entropy: float = math.nan


@dataclass
class Cost:
    """What the harness counted since training began; a method reads nothing from it.

    backward_passes: gradients of the whole rollout batch (its micro-batches count as one).
    optimizer_steps: optimizer steps asked for, probe steps included.
    forward_tokens, backward_tokens: non-padding prompt and completion tokens that went through
        a forward pass (log-probs for the reference model and vLLM corrections included, rollout
        generation not) and through a backward pass.
    """

    backward_passes: int = 0
    optimizer_steps: int = 0
    forward_tokens: int = 0
    backward_tokens: int = 0


@dataclass
class Snapshot:
    """A copy of the trainable parameters and/or the optimizer state, made by ``snapshot()``.

    parameters: one tensor per entry of ``PolicyBatch.parameters``, same shapes; empty if left out.
    optimizer_state: per parameter (same order) its state dict; empty if left out.
    """

    parameters: list[Tensor]
    optimizer_state: list[dict[str, Any]]


class PolicyBatch(ABC):
    """One rollout batch: rollouts, rewards and advantages are fixed, the parameters may move.

    A method works through four verbs (``backward``, ``step``, ``snapshot``, ``restore``) and may
    edit ``parameters`` and their ``.grad`` in place. It sees no model name, clock, reward or
    evaluation score, so it cannot tune itself to the benchmark.
    """

    @property
    @abstractmethod
    def parameters(self) -> list[Tensor]:
        """The trainable tensors, in a fixed order. Read it afresh after every ``step()``: reading
        it is what makes a step that was still pending take effect."""

    @property
    def gradients(self) -> list[Tensor]:
        """What the last ``backward()`` left in ``.grad``; zeros where a parameter got none."""
        return [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]

    @property
    @abstractmethod
    def cost(self) -> Cost:
        """The harness's counters so far."""

    @abstractmethod
    def backward(self, refresh_old_logprobs: bool = False) -> GradientStats:
        """One gradient of the whole batch at the current parameters.

        The raw (unclipped) gradients are left in ``.grad``, replacing what was there.

        refresh_old_logprobs: take the current policy as the old one, so that the importance ratio
            is 1; otherwise the ratio is against the old log-probs of this batch. It costs no extra
            forward pass. The first call of an update always uses the batch's own old log-probs.
        """

    @abstractmethod
    def step(self) -> None:
        """Clip the gradients to ``max_grad_norm``, take one optimizer step, drop the gradients.

        Raises FloatingPointError where the gradient is not finite: no step is taken, the run has
        failed, let it through. (What a rule itself wrote into ``.grad`` is looked at when the step
        takes effect, which may be later.) RuntimeError without a ``backward()`` since the last one.
        """

    @property
    @abstractmethod
    def _optimizer(self) -> torch.optim.Optimizer: ...

    def optimizer_setting(self, name: str) -> list[float]:
        """What the optimizer's groups say for each parameter: ``"lr"``, ``"weight_decay"``."""
        groups = self._optimizer.param_groups
        setting = {id(p): float(group[name]) for group in groups for p in group["params"]}
        return [setting[id(p)] for p in self.parameters]

    def snapshot(
        self, *, parameters: bool = True, optimizer_state: bool = True, offload: bool = False
    ) -> Snapshot:
        """A copy to ``restore()`` later. Leave out what is not needed: each parameter-sized copy
        costs memory (the parameters one buffer, AdamW's state two). offload: keep the parameters'
        copy in CPU memory (pinned where they are on CUDA), each process its own shards."""
        current = self.parameters
        state = self._optimizer.state
        return Snapshot(
            copy_of(current, offload) if parameters else [],
            [_clone_state(state.get(p, {})) for p in current] if optimizer_state else [],
        )

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        """Put back, bit for bit, what the snapshot holds; the rest stays. May be repeated."""
        current = self.parameters
        if snapshot.parameters:
            copy_into(current, snapshot.parameters)
        if snapshot.optimizer_state:
            for p, saved in zip(current, snapshot.optimizer_state, strict=True):
                self._optimizer.state.pop(p, None)
                if saved:
                    self._optimizer.state[p] = _clone_state(saved)


def _clone_state(state: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for key, value in state.items()
    }


class Method(ABC):
    """A policy-update rule: turns one rollout batch into one parameter update.

    Hyperparameters are keyword arguments of the constructor with type hints and defaults, kept as
    attributes of the same name.

    equals_grpo_with: settings of hyperparameters (name to value, the others at their defaults) with
        which the rule moves the parameters as GRPO does, bit for bit, under any optimizer; it may
        take more passes for it. ``gxpo check-method`` holds a rule to what it declares here.
    """

    equals_grpo_with: ClassVar[Sequence[Mapping[str, Any]]] = ()

    @abstractmethod
    def update(self, batch: PolicyBatch) -> dict[str, float]:
        """Update the policy once from ``batch``; return diagnostics (logged under ``method/``).

        A rule that can switch itself off reports ``active`` (1.0 or 0.0) in every update.
        """

    def state_dict(self) -> dict[str, Any]:
        """Everything beyond the hyperparameters that the next update depends on, as JSON values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where ``state_dict()`` was taken."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, but was given {sorted(state)}")

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The values of the constructor's keyword arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
