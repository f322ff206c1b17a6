r"""Lists, sets, tuples, intervals, unions and ratios: which kind, and of what elements."""

from __future__ import annotations

import re

_OPEN, _CLOSE = {"(", "[", "{", "\\{"}, {")", "]", "}", "\\}"}
_PAIRS = (("\\{", "\\}"), ("(", ")"), ("(", "]"), ("[", ")"), ("[", "]"))
_TOKEN = re.compile(r"\\[{}]|\\[A-Za-z]+|.")
_SIDE = r"(-?[^<>=,;\\]{1,60}|-?\\(?:infty|pi|frac|sqrt)[^<>=,;]{0,60}?)"
_WITHIN = re.compile(rf"{_SIDE} ?(<|\\le) ?([A-Za-z]) ?(<|\\le) ?{_SIDE}")
_BOUND = re.compile(rf"([A-Za-z]) ?(<|>|\\le|\\ge) ?{_SIDE}")


def container(text: str) -> tuple[str, list[str]]:
    """The kind and the elements: "set" for {1,2} and for the bare list 1,2, "union", "ratio", else
    the brackets; ("", []) for a single expression."""
    for name, sign in (("union", "\\cup"), ("ratio", ":")):
        parts = split(text, (sign,))
        if len(parts) > 1 and _balanced(parts):
            return name, parts
    for opening, closing in _PAIRS:
        if text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)]
            parts = split(inner)
            if not _balanced(parts):
                continue
            if opening == "\\{":
                return "set", _without_pm(parts)
            if len(parts) > 1:
                return opening + closing, parts
    parts = _without_pm(split(text))
    return ("set", parts) if len(parts) > 1 and _balanced(parts) else ("", [])


def as_interval(text: str) -> str | None:
    r"""The interval that an inequality in one letter describes: (-1,2] for -1<x\le 2."""
    if match := _WITHIN.fullmatch(text):
        left, right = ("(" if match[2] == "<" else "["), (")" if match[4] == "<" else "]")
        return f"{left}{match[1].strip()},{match[5].strip()}{right}"
    if match := _BOUND.fullmatch(text):
        value = match[3].strip()
        if match[2] in ("<", "\\le"):
            return f"(-\\infty,{value}" + (")" if match[2] == "<" else "]")
        return ("(" if match[2] == ">" else "[") + f"{value},\\infty)"
    return None


def depth(text: str) -> int:
    """Brackets within brackets."""
    here = deepest = 0
    for character in text:
        here += (character in "([{") - (character in ")]}")
        deepest = max(deepest, here)
    return deepest


def split(text: str, separators: tuple[str, ...] = (",", ";")) -> list[str]:
    """Parts between separators that stand outside all brackets."""
    parts, level = [""], 0
    for token in _TOKEN.findall(text):
        level += (token in _OPEN) - (token in _CLOSE)
        if token in separators and level == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def _balanced(parts: list[str]) -> bool:
    for part in parts:
        level = 0
        for token in _TOKEN.findall(part):
            level += (token in _OPEN) - (token in _CLOSE)
            if level < 0:
                return False
        if level != 0 or not part:
            return False
    return True


def _without_pm(parts: list[str]) -> list[str]:
    values = []
    for part in parts:
        if part.count("\\pm") == 1:
            values += [re.sub(r"\\pm ?", sign, part) for sign in "+-"]
        else:
            values.append(part)
    return values
