"""What only a step itself shows of a policy or an optimizer that several passes over one batch
cannot be taken with: looked at once, in the first step of every training."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from gxpo.host import UserError


class FirstStep(TrainerCallback):
    """The looks at the first step; a trainer's ``train()`` begins with ``begin()``.

    Raises UserError, before the first optimizer step or right after it.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._forward = self._backward = self._step = True  # still to be looked at
        self._versions: list[int] = []
        self._groups: list[str] = []

    @contextlib.contextmanager
    def forward_pass(self, parameters: list[Tensor], device: torch.device) -> Iterator[None]:
        """Around the first forward pass: it must draw no random number."""
        if not self._forward:
            yield
            return
        self._forward = False
        self._versions = [p._version for p in parameters]
        before = _random_states(device)
        yield
        if _random_states(device) != before:
            raise UserError(
                "the policy draws random numbers in its forward pass (dropout, noise on embeddings "
                "or routers, layers left out at random): passes over the same batch would differ "
                "by them; set what draws them to 0"
            )

    def after_backward(self, parameters: list[Tensor], optimizer: Any) -> None:
        """After the backward passes of the first batch: the gradients are there, and the
        parameters have not moved."""
        if not self._backward:
            return
        self._backward = False
        moved = self._versions != [p._version for p in parameters]
        if moved or all(p.grad is None for p in parameters):
            raise UserError(
                f"the optimizer {_name(optimizer)} steps during the backward pass: a rule could "
                "neither see its gradient nor take a pass without a step"
            )

    def on_pre_optimizer_step(self, *_: Any, optimizer: Any = None, **__: Any) -> None:
        if self._step:
            self._groups = _settings(optimizer)

    def on_optimizer_step(self, *_: Any, optimizer: Any = None, **__: Any) -> None:
        if self._step:
            self._step = False
            if self._groups != _settings(optimizer):
                raise UserError(
                    f"the optimizer {_name(optimizer)} keeps a state in its parameter groups, "
                    "which a rule cannot put back after its trial steps"
                )


def _random_states(device: torch.device) -> list[Any]:
    states: list[Any] = [random.getstate(), torch.get_rng_state().tolist()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device).tolist())
    return states


def _settings(optimizer: Any) -> list[str]:
    return [
        repr({key: value for key, value in group.items() if key != "params"})
        for group in optimizer.param_groups
    ]


def _name(optimizer: Any) -> str:
    return type(getattr(optimizer, "optimizer", optimizer)).__name__  # accelerate wraps it
