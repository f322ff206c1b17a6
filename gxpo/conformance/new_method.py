"""Begin a new update rule: a working file to change into it."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from gxpo.catalog import methods as registry
from gxpo.host import REPOSITORY, UserError

TEMPLATE = Path(__file__).parent / "method_template.py"
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def new_method(name: str) -> tuple[Path, str]:
    """Write ``<name>.py``; return its path and the two lines that put it in a config. In a clone it
    goes to ``methods/`` and is known by its name; else into the working directory.

    Raises UserError where the name is bad or taken.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(
            f"bad method name {name!r}: a lowercase letter, then lowercase letters, digits and "
            "'_', at most 64 and no Python keyword"
        )
    if name in registry.known_methods():
        raise UserError(f"method {name!r} exists already: known are {_known()}")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    text = TEMPLATE.read_text(encoding="utf-8")
    path = registry.METHODS_DIR / f"{name}.py" if REPOSITORY else Path(f"{name}.py")
    if path.exists():
        raise UserError(f"{path} exists already")
    path.write_text(text.replace("NewMethod", class_name).replace("NAME", name), encoding="utf-8")
    method = name if REPOSITORY else path
    return path, f"methods:\n  {name.replace('_', '-')}: {{method: {method}, epochs: 1}}"


def _known() -> str:
    return ", ".join(registry.known_methods())
