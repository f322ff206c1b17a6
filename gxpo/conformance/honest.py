"""Whether a method is what it is said to be: its price, its repeatability, its state."""

from __future__ import annotations

import json
import random

import numpy as np
import torch

from gxpo.catalog import load_method
from gxpo.conformance.subject import Subject, Violation
from gxpo.conformance.tiny import Plain, TinyRun
from gxpo.method import Method

UPDATES = 40  # enough to fill a gate's window of 30, and go on
CUTS = (1, 17, 33)


def passes(subject: Subject) -> str:
    """Every pass through the policy, seen from inside the graph, is one that was counted."""
    run = TinyRun(subject.new())
    run.update(UPDATES)
    counted, true = run.cost.backward_passes, run.policy.sweeps
    if true.backward != counted:
        raise Violation(f"{true.backward} backward passes in {UPDATES} updates, counted {counted}")
    if true.forward != counted:
        raise Violation(f"{true.forward} forward passes in {UPDATES} updates, counted {counted}")
    return f"{counted} in {UPDATES} updates"


def deterministic(subject: Subject) -> str:
    """The same seed gives the same bits, in a second instance too."""
    first, second = _seeded(subject), _seeded(subject)
    if not torch.equal(first.parameters, second.parameters):
        raise Violation("two runs of one seed ended at different parameters")
    if _text(first.metrics) != _text(second.metrics):
        raise Violation("two runs of one seed reported different diagnostics")
    return f"two runs of {UPDATES} updates are equal bit for bit"


def resume(subject: Subject) -> str:
    """A fresh instance with the old one's state continues to the same bits, wherever it is cut."""
    whole = TinyRun(subject.new())
    whole.update(UPDATES)
    for cut in CUTS:
        run = TinyRun(subject.new())
        run.update(cut)
        state = run.method.state_dict()
        try:
            state = json.loads(json.dumps(state))
        except TypeError as error:
            raise Violation(f"state_dict() holds no JSON values: {error}") from error
        run.method = subject.new()
        run.method.load_state_dict(state)
        run.update(UPDATES - cut)
        if not torch.equal(run.parameters, whole.parameters):
            raise Violation(f"cut after update {cut}, it ends at other parameters")
        if _text(run.metrics) != _text(whole.metrics):
            raise Violation(f"cut after update {cut}, it reports other diagnostics")
        if _text(run.method.state_dict()) != _text(whole.method.state_dict()):
            raise Violation(f"cut after update {cut}, it ends with another state")
    return f"cut after {', '.join(map(str, CUTS))} of {UPDATES} updates: equal bit for bit"


def equals_grpo(subject: Subject) -> str:
    """With the settings of ``equals_grpo_with`` it moves the parameters as GRPO does."""
    settings = list(subject.cls.equals_grpo_with)
    plain = _with_a_silent_step(Plain())
    for setting in settings:
        run = _with_a_silent_step(load_method(subject.method, **setting))
        if not torch.equal(run.parameters, plain.parameters):
            distance = (run.parameters - plain.parameters).norm() / plain.parameters.norm()
            raise Violation(f"with {setting} it is not GRPO: off by {distance:.1e} of the norm")
    if not settings:
        return "it declares no setting (equals_grpo_with)"
    return f"bit for bit with {', '.join(map(str, settings))}"


def _seeded(subject: Subject) -> TinyRun:
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    run = TinyRun(subject.new())
    run.update(UPDATES)
    return run


def _with_a_silent_step(method: Method) -> TinyRun:
    run = TinyRun(method)
    run.update(4)
    run.update(signal=False)
    run.update(4)
    return run


def _text(value: object) -> str:
    """As JSON: NaN equals NaN there."""
    return json.dumps(value, sort_keys=True, default=repr)
