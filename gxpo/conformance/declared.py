"""What a method says of itself: its hyperparameters, and the diagnostics of an update."""

from __future__ import annotations

import inspect
import math
import re
import typing

from gxpo.catalog import accepted_hyperparameters, load_method
from gxpo.conformance.subject import Subject, Violation
from gxpo.conformance.tiny import TinyRun
from gxpo.host import UserError

UPDATES = 60  # gates of the usual windows, 30 steps, have closed
_ENTRY = re.compile(
    r"^[ \t]*([A-Za-z_]\w*(?:, [A-Za-z_]\w*)*):", re.MULTILINE
)  # "window, tau: ..."


def hyperparameters(subject: Subject) -> str:
    """Each has a line in the docstring, a type, a default of that type, an attribute."""
    cls = subject.cls
    accepted = accepted_hyperparameters(cls)
    described = {n for m in _ENTRY.finditer(inspect.getdoc(cls) or "") for n in m[1].split(", ")}
    hints = typing.get_type_hints(cls.__init__)
    for name, parameter in accepted.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise Violation(f"the constructor takes *{name}: name every hyperparameter")
        if name not in hints:
            raise Violation(f"{name} has no type")
        if parameter.default is parameter.empty:
            raise Violation(f"{name} has no default")
        if name not in described:
            raise Violation(f"{name} has no line '{name}: ...' in the docstring of {cls.__name__}")
    defaults = {name: parameter.default for name, parameter in accepted.items()}
    try:
        given = load_method(subject.method, **defaults)
    except UserError as error:
        raise Violation(f"its own defaults are refused: {error}") from error
    for name, default in defaults.items():
        if getattr(given, name, Violation) != default:
            raise Violation(f"{name} is not kept as an attribute of that name")
    return f"{', '.join(accepted)}" if accepted else "it has none"


def diagnostics(subject: Subject) -> str:
    """``update`` returns finite or NaN floats by name; ``active`` is 1.0 or 0.0, in all or none."""
    run = TinyRun(subject.new())
    run.update(UPDATES)
    run.update(signal=False)
    for row in run.metrics:
        if not isinstance(row, dict):
            raise Violation(f"update() returned {type(row).__name__}, not a dict")
        for name, value in row.items():
            if not isinstance(name, str) or type(value) is not float:
                kind = type(value).__name__
                raise Violation(f"diagnostic {name!r} is of type {kind}, not float")
            if math.isinf(value):
                raise Violation(f"diagnostic {name!r} is {value}")
        if row.get("active", 1.0) not in (0.0, 1.0):
            raise Violation(f"active is {row['active']}, not 1.0 or 0.0")
        if ("active" in row) != ("active" in run.metrics[0]):
            raise Violation("active is reported in some updates only")
    names = dict.fromkeys(name for row in run.metrics for name in row)
    return ", ".join(names) or "it reports none"
