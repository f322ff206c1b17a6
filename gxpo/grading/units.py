r"""Units behind answers: 12 cm, 5\text{ dollars}, 15\text{ cm}^2."""

from __future__ import annotations

import re

from gxpo.grading.rationals import rational

_SAME = [
    ("m", "meter", "meters", "metre", "metres"),
    ("cm", "centimeter", "centimeters", "centimetre", "centimetres"),
    ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    ("km", "kilometer", "kilometers", "kilometre", "kilometres"),
    ("in", "inch", "inches"),
    ("ft", "foot", "feet"),
    ("yd", "yard", "yards"),
    ("mi", "mile", "miles"),
    ("g", "gram", "grams"),
    ("kg", "kilogram", "kilograms"),
    ("lb", "lbs", "pound", "pounds"),
    ("s", "sec", "second", "seconds"),
    ("min", "minute", "minutes"),
    ("h", "hr", "hrs", "hour", "hours"),
    ("day", "days"),
    ("week", "weeks"),
    ("month", "months"),
    ("yr", "year", "years"),
    ("cent", "cents"),
    ("dollar", "dollars"),
    ("degree", "degrees", "deg"),
    ("radian", "radians", "rad"),
]
_KNOWN = {name: names[0] for names in _SAME for name in names}
# Words behind a number that change it, or that belong to the expression.
_NO_UNITS = {"hundred", "thousand", "million", "billion", "trillion", "dozen", "and", "or"} | {
    *("pi", "e", "i", "sqrt", "sin", "cos", "tan", "log", "ln", "exp", "mod", "inf"),
    *("infty", "infinity"),
}
_POWER = r"(?: ?\^ ?(?:\d|\{ ?\d ?\}))?"
_COMMAND = re.compile(rf"\\text\{{([^{{}}]*)\}}{_POWER}")
_WORDS = re.compile(rf"(.*[\d}}])( ?)([A-Za-z]{{2,}}(?: [A-Za-z]{{2,}}){{0,3}}){_POWER}")
_LETTER = re.compile(rf"(.*\d) ([A-Za-z]){_POWER}")


def split_unit(text: str) -> tuple[str, str | None]:
    r"""The answer without its unit, and the unit.

    A unit is a closing \text{...}, or words right behind a plain number. A single letter is one
    only behind a number and a space, and only if it is a known unit: "6m" may be 6 times m, as
    "6ab" is 6 times a times b.
    """
    at = text.rfind("\\text{")
    if at > 0 and (m := _COMMAND.fullmatch(text, at)) and not _forbidden(m[1]):
        body = text[:at].rstrip()
        if body[-1] not in "_^=+-*/({[,":
            return body, m[1].strip()
    m = _WORDS.fullmatch(text)
    if m and rational(m[1]) and not _forbidden(m[3]) and (m[2] or m[3] in _KNOWN):
        return m[1], m[3]
    if (m := _LETTER.fullmatch(text)) and rational(m[1]) and m[2] in _KNOWN:
        return m[1], m[2]
    return text, None


def units_differ(a: str | None, b: str | None) -> bool:
    """Whether both answers name a unit, both are known, and they are not the same."""
    known = [_KNOWN.get(unit.casefold()) if unit else None for unit in (a, b)]
    return None not in known and known[0] != known[1]


def _forbidden(words: str) -> bool:
    return any(word in _NO_UNITS for word in words.casefold().split())
