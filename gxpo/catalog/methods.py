"""Find and build methods: one file a rule, by name from ``methods/`` or from an installed package's
entry point, or by path from anywhere."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
import typing
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gxpo.host import UserError, shipped
from gxpo.host import hint as yaml_hint

if TYPE_CHECKING:  # finding a method's file must not take the seconds of importing torch
    from gxpo.method import Method

METHODS_DIR = shipped("methods")
ENTRY_POINTS = "gxpo.methods"  # the group in which a package names its methods


def known_methods() -> list[str]:
    """Names of the rules in ``methods/`` and of those that installed packages bring."""
    shipped = {path.stem for path in METHODS_DIR.glob("[!_]*.py")}
    return sorted(shipped | entry_points(group=ENTRY_POINTS).names)


def method_file(method: str) -> Path:
    """The file of a method given by name or by path: its code is what identifies the method. Of an
    entry point it is the module that defines the class.

    Raises UserError, listing the known names, where there is none.
    """
    file = _own_file(method)
    if file is not None:
        return file
    source = inspect.getsourcefile(_class_of(_entry_point(method)))
    assert source is not None  # it was imported from one
    return Path(source).resolve()


def method_source(method: str) -> str:
    """What a run depends on of a method's code: the text of its file and, for an entry point, the
    package's version (the file may import others of it)."""
    text = method_file(method).read_text(encoding="utf-8")
    if _own_file(method):
        return text
    point = _entry_point(method)  # a module may define more than one rule
    return f"{_origin(point)} {_class_of(point).__qualname__}\n{text}"


def method_class(method: str) -> type[Method]:
    """The one Method subclass that the method's file defines, or that its entry point names."""
    file = _own_file(method)
    return _class_of(_entry_point(method)) if file is None else _class_in(_module_of(file))


def forget(method: str) -> None:
    """Have the package of an entry point imported anew when it is next asked for; files are always
    read anew."""
    if _own_file(method) is None:
        package = _entry_point(method).module.partition(".")[0]
        for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
            del sys.modules[name]


def _own_file(method: str) -> Path | None:
    """The file of a path or of a name in ``methods/``; None for what may be an entry point."""
    path = Path(method) if method.endswith(".py") else METHODS_DIR / f"{method}.py"
    if path.is_file() and not path.stem.startswith("_"):
        return path.resolve()
    if path.is_file():
        raise UserError(f"method {method!r}: the name of a method's file begins with a letter")
    if method.endswith(".py"):
        raise _unknown(method)
    return None


def _entry_point(method: str) -> EntryPoint:
    found = list(entry_points(group=ENTRY_POINTS, name=method))
    if not found:
        raise _unknown(method)
    if len(found) > 1:
        packages = " and ".join(sorted(_origin(point) for point in found))
        raise UserError(f"method {method!r} is brought by {packages}: uninstall all but one")
    return found[0]


def _unknown(method: str) -> UserError:
    return UserError(
        f"unknown method {method!r}: known are {', '.join(known_methods())}, "
        "or the path of a .py file"
    )


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _class_of(point: EntryPoint) -> type[Method]:
    """An entry point may name the class, or a module that defines one method."""
    from gxpo.method import Method

    where = f"method {point.name!r} of package {_origin(point)}"
    loaded = _imported(point.load, where)
    if isinstance(loaded, ModuleType):
        return _class_in(loaded)
    if isinstance(loaded, type) and issubclass(loaded, Method) and not inspect.isabstract(loaded):
        return loaded
    raise UserError(f"{where} must be a Method subclass or a module with one, not {point.value}")


def _module_of(path: Path) -> ModuleType:
    return module_of(path, "methods", own=path.parent == METHODS_DIR)


def module_of(path: Path, kind: str, own: bool = False) -> ModuleType:
    """The module of a user's file, imported anew. own: of the suite. Raises UserError."""
    # Files of the same name in different places are different modules.
    digest = hashlib.sha256(str(path.parent).encode()).hexdigest()[:8]
    package = kind if own else f"{kind}_{digest}"
    spec = importlib.util.spec_from_file_location(f"{package}.{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    sys.modules[spec.name] = module  # dataclasses and type hints look their module up there
    _imported(lambda: loader.exec_module(module), str(path))
    return module


def _imported(load: Callable[[], Any], what: str) -> Any:
    """Someone else's code is imported; what goes wrong there is theirs to mend, in one line."""
    try:
        return load()
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        line = error.lineno if isinstance(error, SyntaxError) else frame.lineno
        file = error.filename if isinstance(error, SyntaxError) else frame.filename
        message = " ".join(str(error).split())
        raise UserError(
            f"{what} cannot be imported: {type(error).__name__}: {message} ({file}:{line})"
        ) from error


def _class_in(module: ModuleType) -> type[Method]:
    from gxpo.method import Method

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
        raise UserError(f"{module.__file__} must define exactly one Method subclass, found {names}")
    return classes[0]


def accepted_hyperparameters(cls: type[Method]) -> dict[str, inspect.Parameter]:
    """Name to parameter (default and annotation) of a method's constructor."""
    return dict(inspect.signature(cls).parameters)


def load_method(method: str, /, **hyperparameters: Any) -> Method:
    """Build a method by name (``"gxpo"``, or that of an entry point) or by the path of its file.

    Raises UserError for an unknown name (lists the known ones), for code that cannot be imported,
    for an unknown, ill-typed or out-of-range hyperparameter (names it and what is accepted).
    """
    cls = method_class(method)
    accepted = accepted_hyperparameters(cls)
    hints = _type_hints(cls, method)
    for name, value in hyperparameters.items():
        if name not in accepted:
            known = ", ".join(accepted) or "none"
            raise UserError(
                f"method {method!r} has no hyperparameter {name!r}: accepted are {known}"
            )
        if name in hints and not _has_type(value, hints[name]):
            instead = f"{value!r}{_hint(value, hints[name])}"
            raise UserError(
                f"hyperparameter {name!r} of method {method!r} must be "
                f"{_describe(hints[name])}, not {instead}; accepted are {', '.join(accepted)}"
            )
    try:
        built = cls(**hyperparameters)
    except (ValueError, TypeError) as error:
        raise UserError(f"method {method!r}: {error}") from error
    except Exception as error:
        raise UserError(f"method {method!r}: {type(error).__name__}: {error}") from error
    for name in accepted:  # run.json asks for them, after hours of training
        if not hasattr(built, name):
            raise UserError(f"method {method!r} does not keep {name!r} as an attribute")
    return built


def _type_hints(cls: type[Method], method: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls.__init__)
    except NameError as error:
        raise UserError(
            f"method {method!r}: a type of its constructor is unknown at run time: {error}"
        ) from error


def _has_type(value: Any, hint: Any) -> bool:
    """Strictly: no 5.0 for an int, no text for a number; but an int is a float, as in YAML 1 is."""
    from huggingface_hub.dataclasses import type_validator  # half a second, and has every type

    for read in (value, _as_floats(value)):
        try:
            type_validator("", read, hint)
        except TypeError:
            continue
        return True
    return False


def _as_floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_floats(item) for item in value]
    return float(value) if type(value) is int else value


def _hint(value: Any, wanted: Any) -> str:
    """How to write a value in YAML so that it has the type."""
    parts = typing.get_args(wanted) or (wanted,)
    if any(isinstance(part, str) or part is str for part in parts):
        return yaml_hint(value, "string")
    for part, name in ((float, "number"), (int, "integer"), (bool, "boolean")):
        if part in parts:
            return yaml_hint(value, name)
    return ""


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    return hint.__name__ if isinstance(hint, type) else str(hint)
