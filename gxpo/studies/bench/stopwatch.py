"""Seconds that other processes on the machine do not add to."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator

import torch


class Stopwatch:
    """Seconds of one span after another, by every clock there is; the first is the one to judge by.

    processor (CPU only): what this process's one thread has computed; on an idle machine the same
        as wall, on a busy one free of the other processes' turns.
    wall: real time; a CUDA device is synchronised before every reading.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self.clocks = ("wall",) if device.type == "cuda" else ("processor", "wall")
        self._spans: list[tuple[float, ...]] = []

    def start(self) -> None:
        self._started = self._now()

    def stop(self) -> None:
        now = self._now()
        self._spans.append(tuple(b - a for a, b in zip(self._started, now, strict=True)))

    def take(self) -> list[tuple[float, ...]]:
        """The spans since the last call, each in seconds by every clock."""
        spans, self._spans = self._spans, []
        return spans

    def _now(self) -> tuple[float, ...]:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            return (time.perf_counter(),)
        return time.process_time(), time.perf_counter()


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Garbage is collected before, never inside what is timed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
