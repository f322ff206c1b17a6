"""Process-wide state that no method owns: how to read it, and how to put it back."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

_cuda, _cudnn = torch.backends.cuda.matmul, torch.backends.cudnn

Access = tuple[Callable[[], Any], Callable[[Any], Any]]
"""Read, write."""

RANDOM_STREAMS: dict[str, Access] = {
    "torch": (lambda: torch.get_rng_state().tolist(), lambda s: torch.set_rng_state(_bytes(s))),
    "Python": (random.getstate, random.setstate),
    "NumPy": (lambda: _plain(np.random.get_state()), np.random.set_state),
}
TORCH_SETTINGS: dict[str, Access] = {
    "gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "default type": (torch.get_default_dtype, torch.set_default_dtype),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "matmul precision": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "TF32": (lambda: _cuda.allow_tf32, lambda on: setattr(_cuda, "allow_tf32", on)),
    "cuDNN benchmark": (lambda: _cudnn.benchmark, lambda on: setattr(_cudnn, "benchmark", on)),
    "cuDNN determinism": (
        lambda: _cudnn.deterministic,
        lambda on: setattr(_cudnn, "deterministic", on),
    ),
}
ENVIRONMENT: dict[str, Access] = {"environment": (os.environ.copy, lambda was: _set_environ(was))}


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever happens inside, the surroundings are afterwards as they were: each check meets
    the same ones, and none hides what the next would find."""
    everything = [*RANDOM_STREAMS.values(), *TORCH_SETTINGS.values(), *ENVIRONMENT.values()]
    before = [(read, write, read()) for read, write in everything]
    try:
        yield
    finally:
        for read, write, value in before:
            if read() != value:
                write(value)


def _bytes(state: list[int]) -> torch.Tensor:
    return torch.tensor(state, dtype=torch.uint8)


def _plain(state: Any) -> tuple[Any, ...]:
    """NumPy's state with a list in place of its array, which ``==`` can compare."""
    return tuple(part.tolist() if isinstance(part, np.ndarray) else part for part in state)


def _set_environ(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
