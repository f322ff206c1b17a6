"""Numbers in English words: five, negative twenty-five, two thirds, 3.5 million, twenty percent."""

from __future__ import annotations

import re
from fractions import Fraction

from gxpo.grading.rationals import Rational, rational

_BELOW_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen"
)
_SMALL = {word: value for value, word in enumerate(_BELOW_TWENTY.split())}
_TENS_IN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_TENS_IN_WORDS.split(), start=2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ORDINALS = "third fourth fifth sixth seventh eighth ninth tenth"
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4} | {
    word + plural: value for value, word in enumerate(_ORDINALS.split(), 3) for plural in ("", "s")
}
_SCALED = re.compile(r"(.*\d[\d.,]*) ?(hundred|thousand|million|billion|trillion|dozen)s?")
_FACTORS = _SCALES | {"hundred": 100, "dozen": 12}
_WORDS = re.compile(r"[a-z]{2,11}(?:[ -]+(?:[a-z]{2,11}|a))*")


def in_words(text: str) -> Rational | None:
    """The number that ``text`` is as a whole, with words in it, or None."""
    text = text.strip().casefold()
    percent = text.endswith("%")
    body = text.removesuffix("%").strip()
    if match := _SCALED.fullmatch(body):
        found = rational(match[1])
        return Rational(found.value * _FACTORS[match[2]], 0) if found and not percent else None
    if not _WORDS.fullmatch(body):
        return None
    words = re.split(r"[ -]+", body)
    negative = words[0] in ("negative", "minus")
    value = _value(words[1:] if negative else words)
    return None if value is None else Rational(-value if negative else value, None, percent)


def _value(words: list[str]) -> Fraction | None:
    if len(words) > 1 and words[-1] in _PARTS:
        if "and" in words:  # three and a half
            at = words.index("and")
            whole, part = _integer(words[:at]), _part(words[at + 1 :])
            return None if whole is None or part is None else whole + part
        return _part(words)
    whole = _integer(words)
    return None if whole is None else Fraction(whole)


def _part(words: list[str]) -> Fraction | None:
    count = 1 if words[:-1] == ["a"] else _integer(words[:-1])
    return None if count is None else Fraction(count, _PARTS[words[-1]])


def _integer(words: list[str]) -> int | None:
    """Seven, twenty seven, three hundred and twenty, five thousand two."""
    total = group = 0
    last = 10**15  # what comes next must be smaller: "seven twenty" is no number
    for i, word in enumerate(words):
        if word == "and" and 0 < i < len(words) - 1 and last in (100, *_SCALES.values()):
            continue
        if word in _SMALL or word in _TENS:
            value = _SMALL.get(word, _TENS.get(word, 0))
            fits = last >= 100 or (20 <= last < 100 and 0 < value < 10)
            if not fits or (value == 0 and len(words) > 1):
                return None
            group, last = group + value, value
        elif word == "hundred" and 0 < group < 100 and last < 100:
            group, last = group * 100, 100
        elif word in _SCALES and 0 < group < 1000 and (total == 0 or total % _SCALES[word] == 0):
            if total and total < _SCALES[word] * 1000:
                return None
            total, group, last = total + group * _SCALES[word], 0, _SCALES[word]
        else:
            return None
    return total + group if words else None
