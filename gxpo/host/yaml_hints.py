"""How a value is to be written in YAML 1.1, where it was read as something else than was meant."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

# YAML wants a point and a signed exponent: 1e-6 is a text, 1.0e-6 a number.
_EXPONENT = re.compile(r"([-+]?[\d_]+)(\.[\d_]*)?[eE]([-+]?)(\d+)")


def hint(value: Any, wanted: str) -> str:
    """What to write instead of ``value`` so that it is read as ``wanted`` (a type's name in JSON
    Schema), after a colon; empty where there is nothing to say."""
    advice = _ADVICE[wanted](value) if wanted in _ADVICE else None
    return f": {advice}" if advice else ""


def _number(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    if match := _EXPONENT.fullmatch(value.strip()):
        whole, rest, sign, exponent = match.groups()
        written = f"{whole}{rest or '.0'}e{sign or '+'}{exponent}"
        return f"YAML reads {value} as a text, write {written}"
    try:
        number = int(value, 0)
    except ValueError:
        try:
            number_or_not = float(value)
        except ValueError:
            return None
        if not math.isfinite(number_or_not):
            return None
        return f"write {number_or_not!r}, without quotes or leading zeros"
    return f"write {number}, without quotes"


def _integer(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    if isinstance(value, str) and (match := _EXPONENT.fullmatch(value.strip())):
        number = float(match[0])
        return f"write {int(number)}" if number.is_integer() else None
    return _number(value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "YAML reads yes, no, on, off, true and false as truth values, put it in quotes"
    if isinstance(value, date):  # a datetime is one, too
        return "YAML reads it as a date, put it in quotes"
    if value is None:
        return "YAML reads null, ~ and nothing at all as no value, put a text in quotes"
    return "put it in quotes" if isinstance(value, int | float) else None


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, list | dict) else "write true or false, without quotes"


def _array(value: Any) -> str | None:
    return None if isinstance(value, dict) or value is None else f"write [{value}]"


def _object(value: Any) -> str | None:
    return "nothing is written under it" if value is None else None


_ADVICE = {
    "number": _number,
    "integer": _integer,
    "string": _text,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
}
