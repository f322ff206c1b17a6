r"""Exact numbers in answers: 1,234.50, -3/4, \frac{3}{4}, 1\frac{1}{2}, 3 1/2, 5 \cdot 10^{-8},
0.\overline{36}.

Text comes in as ``gxpo.grading.spelling.clean`` leaves it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

LARGEST_EXPONENT = 400  # 10^k beyond it is no number here: the digits of 9^9^9 do not fit anywhere
LONGEST_REPEATING = 30  # digits of a repeating decimal's period
ENOUGH_PLACES = 6  # math-verify's: 0.333333 is 1/3, 0.333 is not
ENOUGH_DIGITS = 4  # and what six places leave of a small number must be a number still

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+"
_EXPONENT = r"\{?\s*([+-]?\d{1,4})\s*\}?"
_PLAIN = re.compile(rf"({NUMBER})(?:[eE]([+-]?\d{{1,4}}))?")
_SPACED = re.compile(r"\d{1,3}(?: \d{3})+(?:\.\d+)?")
_SCIENTIFIC = re.compile(
    rf"(?:({NUMBER})\s*(?:\\times|\\cdot|\*|x)\s*)?10\s*(?:\^|\*\*)\s*{_EXPONENT}"
)
_SLASH = re.compile(rf"(?:(\d+)\s+)?({NUMBER})\s*/\s*({NUMBER})")
_FRAC = re.compile(
    r"(\d+)?\s*\\frac\s*(?:\{\s*(-?[\d.,]+)\s*\}|(\d))\s*(?:\{\s*(-?[\d.,]+)\s*\}|(\d))"
)
_PERIOD = re.compile(
    r"(\d*)\.(\d*)(?:\\(?:overline|bar|dot) ?(?:\{ ?(\d+) ?\}|(\d))|\((\d+)\)"
    r"|\\dot ?\{(\d)\}(\d*)\\dot ?\{(\d)\})"
)
_CONTINUED = re.compile(r"(\d*)\.(\d+) ?\\ldots")


@dataclass(frozen=True)
class Rational:
    """A number as written: its value, and the decimal places where it is a decimal number."""

    value: Fraction
    places: int | None = None
    percent: bool = False

    def equals(self, other: Rational) -> bool:
        """Exact, with two conventions of math-verify: a decimal of six places or more equals the
        fraction that it rounds, and p% equals both p and p/100."""
        scales = (1, 100) if self.percent != other.percent else (1,)
        return any(
            _same(Rational(self.value / (scale if self.percent else 1), self.places), other, scale)
            for scale in scales
        )

    def stands_for(self, exact: Fraction) -> bool:
        """Whether this decimal is what ``exact`` rounds to, and has enough digits to say so:
        0.000001 is no answer to 1/1500000."""
        return self.digits_enough() and round(exact, self.places) == self.value

    def digits_enough(self) -> bool:
        """Whether this decimal may stand for a number that it only rounds."""
        places = self.places or 0
        return places >= ENOUGH_PLACES and abs(self.value) * 10**places >= 10 ** (ENOUGH_DIGITS - 1)


def _same(a: Rational, b: Rational, scale: int) -> bool:
    shift = scale if b.percent else 1
    more_places = 2 if shift == 100 and b.places is not None else 0
    other = Rational(b.value / shift, None if b.places is None else b.places + more_places)
    if a.value == other.value:
        return True
    if (a.places is None) == (other.places is None):  # two decimals, or two fractions
        return False
    rounded, exact = (a, other) if a.places is not None else (other, a)
    return rounded.stands_for(exact.value)


def rational(text: str) -> Rational | None:
    """The number that ``text`` is as a whole, or None."""
    text = text.strip()
    percent = text.endswith("%")
    body = text.removesuffix("%").rstrip().removesuffix("\\").rstrip()
    negative = body.startswith("-")
    body = body.lstrip("-").lstrip() if body[:2] != "--" else ""
    if not negative:
        body = body.removeprefix("+").lstrip()
    if not body or not body.isascii() or not any(c.isdigit() for c in body):
        return None
    try:
        found = _unsigned(body)
    except (ValueError, ZeroDivisionError):
        return None
    if found is None:
        return None
    value, places = found
    return Rational(-value if negative else value, places, percent)


def _unsigned(body: str) -> tuple[Fraction, int | None] | None:
    if m := _PLAIN.fullmatch(body):
        exponent = _exponent(m[2])
        places = len(m[1].partition(".")[2]) if exponent == 0 else None
        return _decimal(m[1]) * Fraction(10) ** exponent, places
    if _SPACED.fullmatch(body):
        return _decimal(body.replace(" ", "")), 0
    if m := _SCIENTIFIC.fullmatch(body):
        return _decimal(m[1] or "1") * Fraction(10) ** _exponent(m[2]), None
    if m := _SLASH.fullmatch(body):
        return int(m[1] or 0) + _decimal(m[2]) / _decimal(m[3]), None
    if m := _FRAC.fullmatch(body):
        fraction = _decimal(m[2] or m[3]) / _decimal(m[4] or m[5])
        if m[1] and fraction < 0:
            return None
        return int(m[1] or 0) + fraction, None
    if (value := _repeating(body)) is not None:
        return value, None
    return None


def _repeating(body: str) -> Fraction | None:
    r"""0.1\overline{6}, 0.1\bar6, 0.1(6), \dot{1}42857 up to a second dot, 0.1666\ldots"""
    if m := _PERIOD.fullmatch(body):
        period = m[3] or m[4] or m[5] or m[6] + m[7] + m[8]
        return _with_period(m[1], m[2], period)
    if m := _CONTINUED.fullmatch(body):
        for length in range(1, LONGEST_REPEATING):
            period = m[2][-length:]
            shown = 3 if length == 1 else 2  # 0.33 is not yet a pattern
            if m[2].endswith(period * shown):
                return _with_period(m[1], m[2], period)
    return None


def _with_period(whole: str, start: str, period: str) -> Fraction | None:
    if len(period) > LONGEST_REPEATING:
        return None
    tail = Fraction(int(period), 10 ** len(period) - 1) / 10 ** len(start)
    return Fraction(f"{whole or 0}.{start or 0}") + tail


def _exponent(digits: str | None) -> int:
    exponent = int(digits or 0)
    if abs(exponent) > LARGEST_EXPONENT:
        raise ValueError("exponent")
    return exponent


def _decimal(digits: str) -> Fraction:
    sign = -1 if digits.startswith("-") else 1
    if not re.fullmatch(NUMBER, digits.removeprefix("-")):
        raise ValueError(digits)
    digits = digits.removeprefix("-").replace(",", "").rstrip(".")
    return sign * Fraction(digits if not digits.startswith(".") else "0" + digits)
