"""What a method does not own, it leaves as it was: at import, at construction and in updates."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from gxpo.conformance.subject import Subject, Violation
from gxpo.conformance.surroundings import RANDOM_STREAMS, TORCH_SETTINGS, Access
from gxpo.conformance.tiny import Plain, TinyRun

UPDATES = 4


def optimizer_settings(subject: Subject) -> str:
    """Learning rate, weight decay and the rest, at every step of the optimizer."""
    run = TinyRun(subject.new())
    before = _settings(run.optimizer)

    def compare(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for old, new in zip(before, _settings(optimizer), strict=True):
            for name in old:
                if new.get(name) != old[name]:
                    raise Violation(f"it changes {name} from {old[name]} to {new.get(name)}")

    run.optimizer.register_step_pre_hook(compare)
    run.update(UPDATES)
    compare(run.optimizer)
    return "learning rate and weight decay are the harness's at every step"


def random_streams(subject: Subject) -> str:
    """Rollouts must not depend on what a rule draws; one that needs chance keeps a generator."""
    torch.manual_seed(4321)  # a state that no method would seed by chance
    random.seed(4321)
    np.random.seed(4321)
    _unchanged(subject, RANDOM_STREAMS, "random stream of")
    return f"those of {', '.join(RANDOM_STREAMS)} stand where they stood"


def frozen_parameters(subject: Subject) -> str:
    """Under full training and under LoRA."""
    for lora in (False, True):
        run = TinyRun(subject.new(), lora=lora)
        frozen = {n: p for n, p in run.policy.named_parameters() if not p.requires_grad}
        before = {name: p.detach().clone() for name, p in frozen.items()}
        trained = [p for p in run.policy.parameters() if p.requires_grad]
        run.update(UPDATES)
        for name, p in frozen.items():
            if not torch.equal(p, before[name]):
                raise Violation(f"it changes the frozen parameter {name!r}")
            if p.requires_grad:
                raise Violation(f"it makes the frozen parameter {name!r} trainable")
        if not all(p.requires_grad for p in trained):
            raise Violation("it freezes trainable parameters")
    return "not moved, under full training and LoRA"


def gradients_of_others(subject: Subject) -> str:
    """``.grad`` of tensors that are not the batch's."""
    run = TinyRun(subject.new())
    gradient = torch.ones_like(run.policy.frozen)
    run.policy.frozen.grad = gradient
    run.update(UPDATES)
    if run.policy.frozen.grad is not gradient or not bool((gradient == 1).all()):
        raise Violation("it changes the gradient of a parameter that is not the batch's")
    return "a frozen parameter's .grad is untouched"


def torch_settings(subject: Subject) -> str:
    """Autograd, types, threads, determinism: process-wide switches."""
    _unchanged(subject, TORCH_SETTINGS, "torch setting")
    return "process-wide settings stand as they stood"


def outside_world(subject: Subject) -> str:
    """Files, processes, network, environment."""
    TinyRun(Plain()).update()  # torch's own late imports
    environment = dict(os.environ)
    with _listening() as heard:
        TinyRun(subject.newly_imported()).update(UPDATES)
    if heard:
        raise Violation(heard[0])
    changed = dict(os.environ).items() ^ environment.items()
    if changed:
        raise Violation(f"it changes the environment variable {min(changed)[0]}")
    return "no file written, no process, no connection, no variable changed"


def _unchanged(subject: Subject, state: dict[str, Access], what: str) -> None:
    """From before the file is loaded to after some updates."""
    before = {name: read() for name, (read, _) in state.items()}
    TinyRun(subject.newly_imported()).update(UPDATES)
    for name, (read, _) in state.items():
        if read() != before[name]:
            raise Violation(f"it changes the {what} {name}")


def _settings(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    return [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]


_EVENTS = {
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"),
    *("os.chmod", "os.chown", "os.utime", "sqlite3.connect"),
    *("os.fork", "os.forkpty", "os.system", "os.exec", "os.posix_spawn", "os.spawn"),
    *("subprocess.Popen", "socket.connect", "socket.bind", "socket.sendto"),
}
_heard: list[str] | None = None  # what the audit hook writes to while a check listens


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _heard is None or not (event == "open" or event in _EVENTS):
        return
    first = str(arguments[0]) if arguments else ""
    if "__pycache__" in first:  # Python's own, of a first import
        return
    if event == "open":
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        if isinstance(arguments[2], int) and arguments[2] & writes:
            _heard.append(f"it writes to the file {first!r}")
    else:
        _heard.append(f"it calls {event} {first!r}".rstrip())


_installed = False


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """What this process does to the world meanwhile. An audit hook cannot be removed, so there is
    one for good, which is deaf most of the time (PEP 578)."""
    global _heard, _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    heard: list[str] = []
    _heard = heard
    try:
        yield heard
    finally:
        _heard = None
