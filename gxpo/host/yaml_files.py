"""YAML as users write it, read strictly: every key once, and no number that means another one.

YAML 1.1 reads 010 as 8 (octal) and 12:30 as 750 (base 60); nobody who writes a configuration means
that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gxpo.host.errors import UserError
from gxpo.host.user_files import read_text

INT, FLOAT, MERGE = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "merge"))


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        given = [
            key for key, _ in node.value if key.tag != MERGE
        ]  # what <<: brings may be replaced
        keys = [self.construct_object(key, deep=True) for key in given]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise UserError(f"duplicate key {key!r} in the mapping at line {line}")
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        written = str(node.value)
        plain = self.construct_yaml_int if node.tag == INT else self.construct_yaml_float
        value = plain(node)
        digits = written.replace("_", "").lstrip("+-")
        octal = node.tag == INT and digits.startswith("0") and digits.isdigit()
        if ":" in written or (octal and int(digits) != abs(value)):
            base = "base 60" if ":" in written else "octal"
            instead = f"write {int(digits)}" if octal else "write the number"
            raise UserError(
                f"line {node.start_mark.line + 1}: YAML reads {written} as {value} ({base}): "
                f"{instead}, or '{written}' in quotes if a text is meant"
            )
        return value


_StrictLoader.add_constructor(INT, _StrictLoader.construct_number)
_StrictLoader.add_constructor(FLOAT, _StrictLoader.construct_number)


def parse_yaml(text: str) -> Any:
    """The content of a YAML text. Raises UserError."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise UserError(f"is not valid YAML: {' '.join(str(error).split())}") from error
    except (ValueError, OverflowError) as error:  # a date that is none, a number with 5000 digits
        if isinstance(error, UserError):
            raise
        raise UserError(f"is not valid YAML: {error}") from error
    except RecursionError as error:
        raise UserError("is not valid YAML: nested too deeply") from error


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raises UserError, naming the file."""
    text = read_text(path)
    try:
        return parse_yaml(text)
    except UserError as error:
        colon = "" if str(error).startswith("is ") else ":"
        raise UserError(f"{path}{colon} {error}") from error
