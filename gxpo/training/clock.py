"""The harness's clock: seconds of rollout and of training, device work included."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

import torch


class Clock:
    """Accumulates named spans; the device is synchronised before every reading, because CUDA
    calls return before their work is done."""

    def __init__(self, device: torch.device):
        self._device = device
        self._started: dict[str, float] = {}
        self.seconds: dict[str, float] = defaultdict(float)

    def start(self, name: str) -> None:
        self._started[name] = self._now()

    def stop(self, name: str) -> None:
        self.seconds[name] += self._now() - self._started.pop(name)

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        self.start(name)
        yield
        self.stop(name)

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
