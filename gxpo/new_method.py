"""Begin a new update rule: a working file to change into it."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from gxpo import registry
from gxpo.errors import UserError

TEMPLATE = Path(__file__).parent / "method_template.py"
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def new_method(name: str) -> tuple[Path, str]:
    """Write ``methods/<name>.py``; return its path and the two lines that put it in a config.

    Raises UserError where the name is bad or taken, or there is no ``methods/`` (gxpo was installed
    without its repository).
    """
    if not registry.METHODS_DIR.is_dir():
        raise UserError(
            f"there is no folder {registry.METHODS_DIR}: work in a clone of the repository, or put "
            "a file anywhere and give its path as method:"
        )
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(
            f"bad method name {name!r}: a lowercase letter, then lowercase letters, digits and "
            "'_', at most 64 and no Python keyword"
        )
    if name in registry.known_methods():
        raise UserError(f"method {name!r} exists already: known are {_known()}")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    text = TEMPLATE.read_text(encoding="utf-8")
    path = registry.METHODS_DIR / f"{name}.py"
    path.write_text(text.replace("NewMethod", class_name).replace("NAME", name), encoding="utf-8")
    return path, f"methods:\n  {name.replace('_', '-')}: {{method: {name}, epochs: 1}}"


def _known() -> str:
    return ", ".join(registry.known_methods())
