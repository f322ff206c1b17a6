"""Find and build methods: one file a rule, by name from ``methods/`` or by path from anywhere."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from gxpo.errors import UserError

if TYPE_CHECKING:  # finding a method's file must not take the seconds of importing torch
    from gxpo.method import Method

METHODS_DIR = Path(__file__).resolve().parent.parent / "methods"


def known_methods() -> list[str]:
    """Names of the rules in ``methods/``."""
    return sorted(path.stem for path in METHODS_DIR.glob("*.py"))


def method_file(method: str) -> Path:
    """The file of a method given by name or by path.

    Raises UserError, listing the known names, where there is none.
    """
    path = Path(method) if method.endswith(".py") else METHODS_DIR / f"{method}.py"
    if not path.is_file() or path.stem.startswith("_"):
        raise UserError(
            f"unknown method {method!r}: known are {', '.join(known_methods())}, "
            "or the path of a .py file"
        )
    return path.resolve()


def method_class(method: str) -> type[Method]:
    """The one Method subclass that the method's file defines."""
    from gxpo.method import Method

    path = method_file(method)
    # The module name must not shadow the package ``gxpo`` (methods/gxpo.py) and must differ for
    # files of the same name in different places.
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"method_{path.stem}_{digest}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]
    if len(classes) != 1:
        names = ", ".join(c.__name__ for c in classes) or "none"
        raise UserError(f"{path} must define exactly one Method subclass, found {names}")
    return classes[0]


def accepted_hyperparameters(cls: type[Method]) -> dict[str, inspect.Parameter]:
    """Name to parameter (default and annotation) of a method's constructor."""
    return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])


def load_method(method: str, /, **hyperparameters: Any) -> Method:
    """Build a method by name (``"gxpo"``) or by the path of its file.

    Raises UserError for an unknown name (lists the known ones), for an unknown, ill-typed or
    out-of-range hyperparameter (names it and what is accepted).
    """
    cls = method_class(method)
    accepted = accepted_hyperparameters(cls)
    hints = typing.get_type_hints(cls.__init__)
    for name, value in hyperparameters.items():
        if name not in accepted:
            known = ", ".join(accepted) or "none"
            raise UserError(
                f"method {method!r} has no hyperparameter {name!r}: accepted are {known}"
            )
        if name in hints and not _has_type(value, hints[name]):
            raise UserError(
                f"hyperparameter {name!r} of method {method!r} must be "
                f"{_describe(hints[name])}, not {value!r}; accepted are {', '.join(accepted)}"
            )
    try:
        return cls(**hyperparameters)
    except (ValueError, TypeError) as error:
        raise UserError(f"method {method!r}: {error}") from error


def _has_type(value: Any, hint: Any) -> bool:
    try:
        TypeAdapter(hint, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError:
        return False
    return True


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) else str(hint)
