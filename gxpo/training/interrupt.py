"""Stop between two steps when asked to: by SIGTERM (kill, timeout, schedulers), by SIGUSR1
(schedulers, ahead of the walltime), by SIGINT (Ctrl-C), or because the time is up."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

import torch
from accelerate.utils import reduce
from transformers import TrainerCallback

from gxpo.host import environment

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGALRM)
SOON = 0.001  # seconds: a timer of 0 is none
STOPPING = b"\nstopping after this step, with a checkpoint; Ctrl-C again stops at once\n"


class StopRequest:
    """While open, the signals only leave a note in ``received``; later the handlers of before are
    back. To be opened in the main thread, as Python asks for. A second SIGINT ends the process at
    once, and one that whoever started it has it ignore stays ignored.

    seconds: after which to stop without being asked.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.received: str | None = None
        self._seconds = seconds

    def __enter__(self) -> StopRequest:
        ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        numbers = [n for n in SIGNALS if not (ignored and n == signal.SIGINT)]
        self._previous = {number: signal.signal(number, self._note) for number in numbers}
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, max(self._seconds, SOON))
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
            if environment.rank() == 0:
                os.write(2, STOPPING)  # not print: the signal may have come in the middle of one
        timer = number == signal.SIGALRM
        self.received = "the end of its walltime" if timer else signal.Signals(number).name


class StopAtStepEnd(TrainerCallback):
    """Checkpoints and stops training at the end of the step in which a stop was requested; the last
    step ends training anyway.

    A step must be a whole generation cycle, as in every cell: inside one, a checkpoint cannot be
    resumed from exactly.
    """

    def __init__(self, request: StopRequest):
        self._request = request
        self.stopped_after: int | None = None  # steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._requested_anywhere(args.device) and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True
            self.stopped_after = state.global_step

    def _requested_anywhere(self, device: torch.device) -> bool:
        """Whether any process was asked to: all must stop after the same step."""
        requested = torch.tensor(float(self._request.received is not None), device=device)
        return reduce(requested, "sum").item() > 0
