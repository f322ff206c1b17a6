r"""Units behind answers: 12 cm, 5\text{ dollars}, 15\text{ cm}^2, 5 \frac{\text{m}}{\text{s}}."""

from __future__ import annotations

import re
from collections import Counter

from gxpo.grading.rationals import rational
from gxpo.grading.unit_names import BARE_LETTERS, NOUNS, name_of
from gxpo.grading.words import CHANGING_CHARACTERS, changes_number

Unit = tuple[tuple[str, int], ...]
"""Names with their powers, in the order of the alphabet."""

_POWER = r"(?: ?\^ ?(?:(\d)|\{ ?(-?\d{1,2}) ?\}))?"
_IN_TEXT = r"[^{}]*(?:\^ ?\{ ?-?\d{1,2} ?\}[^{}]*)*"
_TAIL_TOKEN = re.compile(
    rf" ?(?:(?P<text>(?:\\mu ?)?\\text\{{(?P<words>{_IN_TEXT})\}}){_POWER}"
    r"|(?P<degree>\^ ?\\circ(?![A-Za-z])(?: ?[CF](?![A-Za-z]))?)"
    rf"|(?P<symbol>\\(?:Omega|AA|mho)(?![A-Za-z])){_POWER}"
    r"|(?P<over>/)|(?P<times>\\cdot(?![A-Za-z])|\\times(?![A-Za-z])|\*)"
    r"|(?P<frac>\\frac ?\{)|(?P<middle>\} ?\{)|(?P<end>\}))"
)
_TAIL_START = re.compile(
    r"(?:\\mu ?)?\\text\{|\\frac ?\{ ?(?:\\mu ?)?\\text\{|\\(?:Omega|AA|mho)(?![A-Za-z])"
    r"|\^ ?\\circ(?![A-Za-z])"
)
_TRIGONOMETRIC = re.compile(r"sin|cos|tan|cot|sec|csc")
_IN_WORDS = re.compile(
    r"(?P<name>[A-Za-z\u00b5'$]+\.?)(?: ?\^ ?(?:(\d)|\{ ?(-?\d{1,2}) ?\})|(?P<raised>-?\d)(?!\d))?"
    r"|(?P<over>/|\bper\b)|(?P<joint>[ .\-*]|\\cdot)"
)
_PLAIN_TAIL = re.compile(r"(.*[\d}])( ?)([A-Za-z][A-Za-z./ ^{}\-]*\d?\}?)")
_CJK = re.compile(r"(.*[\d}%]) ?([\u3005-\u30ff\u4e00-\u9fff]{1,8})")
_FUNCTION = re.compile(
    r"(?:sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|lim|max|min|mod|gcd|lcm)[a-z]?$"
)
_LIKE_OPERATORS = tuple("_^=+-*/({[,<>:|&")
SHORTEST_NOUN = 4  # "2 ab" is a product


def split_unit(text: str, bare_letters: bool = True) -> tuple[str, Unit | None]:
    r"""The answer without its unit, and the unit.

    A unit is a tail of \text{...}, or words right behind a plain number, that holds no number and
    no word which makes another answer of the number. A bare letter is one only behind a number
    and a space, if it is a known unit, and only where ``bare_letters`` allows it: a gold answer
    "6 m" is 6 times m.
    """
    for start in _TAIL_START.finditer(text):
        body, at = text[: start.start()].rstrip(), start.start()
        spaced = text[at - 1 : at] == " " or bool(re.match(r"\\text\{ ", text[at:]))
        if start[0].startswith("^") and _TRIGONOMETRIC.search(body):
            return text, None  # sin 30 degrees
        if body and not body.endswith(_LIKE_OPERATORS) and not body.endswith(("cdot", "times")):
            unit = _command_unit(text[at:], spaced)
            if unit is not None and body.count("{") == body.count("}"):
                return body, unit
    if (match := _CJK.fullmatch(text)) and not CHANGING_CHARACTERS & set(match[2]):
        return match[1].rstrip(), ((name_of(match[2], True) or match[2], 1),)
    match = _PLAIN_TAIL.fullmatch(text)
    if match and rational(match[1]):
        unit = _plain_unit(match[3], bool(match[2]), bare_letters)
        if unit is not None:
            return match[1].rstrip(), unit
    return text, None


def units_differ(a: Unit | None, b: Unit | None) -> bool:
    """Whether both answers name a unit, and not the same. "5 apples a day" may be "5 apples"."""
    if a is None or b is None or a == b:
        return False
    powers, other_powers = dict(a), dict(b)
    names, others = set(powers), set(other_powers)
    if any(powers[name] != other_powers[name] for name in names & others):
        return True
    nouns = [name for name in names ^ others if name_of(name, True) is None]
    within = names < others or others < names
    return not (within and len(nouns) == len(names ^ others))


def _command_unit(tail: str, spaced: bool) -> Unit | None:
    found: Counter[str] = Counter()
    at, sign, inside = 0, 1, 0
    while at < len(tail):
        match = _TAIL_TOKEN.match(tail, at)
        if match is None:
            return None
        at = match.end()
        if match["text"]:
            micro = "u" if match["text"].startswith("\\mu") else ""
            names = _names(micro + match["words"], spaced or at < len(tail), sign)
            if names is None:
                return None
            power = int(next((p for p in match.groups()[2:4] if p), 1))
            if power != 1:  # m/s behind which ^2 stands is m/s^2
                last = list(names)[-1]
                names[last] *= power
            found.update(names)
            sign = sign if inside else 1
        elif match["degree"]:
            found["degree"] += 1
        elif match["symbol"]:
            found[{"Omega": "ohm", "AA": "angstrom", "mho": "mho"}[match["symbol"][1:]]] += sign
        elif match["over"]:
            sign = -1
        elif match["frac"]:
            inside += 1
        elif match["middle"]:
            sign = -1
        elif match["end"]:
            inside, sign = inside - 1, 1
            if inside < 0:
                return None
    return _frozen(found) if inside == 0 and found else None


def _plain_unit(tail: str, spaced: bool, bare_letters: bool) -> Unit | None:
    words = re.findall(r"[A-Za-z]+", tail)
    if len(tail) == 1 and not (spaced and bare_letters and tail in BARE_LETTERS):
        return None
    if any(_FUNCTION.match(word) and word not in NOUNS for word in words):
        return None
    known = [name_of(word, spaced) is not None or word.casefold() == "per" for word in words]
    if not all(known):
        if not spaced or re.search(r"[/^{}\d]", tail):
            return None
        if any(len(w) < SHORTEST_NOUN and w.casefold() not in NOUNS for w in words[:1]):
            return None
    elif len(words) == 1 and len(words[0]) == 1 and not (spaced and bare_letters):
        return None
    names = _names(tail, spaced, 1)
    return None if names is None else _frozen(Counter(names))


def _names(words: str, spaced: bool, sign: int) -> dict[str, int] | None:
    """The names in "kg m^2/s^2" or "square feet" with their powers; None where it is no unit."""
    found: Counter[str] = Counter()
    words = re.sub(r"\\mu ?", "u", words.strip().rstrip("."))
    words = re.sub(r"\b(?:sq|square)\.? ([A-Za-z]+)", r"\1^2", words)
    words = re.sub(r"\b(?:cu|cubic)\.? ([A-Za-z]+)", r"\1^3", words)
    words = re.sub(r"\b([A-Za-z]+) squared", r"\1^2", words)
    words = re.sub(r"\b([A-Za-z]+) cubed", r"\1^3", words)
    at, over = 0, False
    while at < len(words):
        match = _IN_WORDS.match(words, at)
        if match is None:
            return None
        at = match.end()
        if match["over"] or match["name"] == "per":
            over = True
        elif match["name"]:
            name = name_of(match["name"].rstrip("."), spaced)
            power = int(next((p for p in (match[2], match[3], match["raised"]) if p), 1))
            if name is None and (changes_number(match["name"]) or len(match["name"]) < 2):
                return None
            found[name or match["name"].casefold().rstrip("s.")] += (
                sign * power * (-1 if over else 1)
            )
    return dict(found)


def _frozen(found: Counter[str]) -> Unit:
    return tuple(sorted((name, power) for name, power in found.items() if power))
