r"""Do two answers mean the same? The order of the rules; each rule has a module of its own.

Numbers, words, choices and equal spellings are ``decided`` at once. ``equal`` takes lists,
intervals, equations and units apart, and leaves single expressions to ``symbolic``.
A false "equal" pays every method for being wrong: what no rule understands is unequal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain

from gxpo.grading.choices import asks_for_letter, chosen, opened
from gxpo.grading.containers import as_interval, container, depth
from gxpo.grading.numerals import in_words
from gxpo.grading.rationals import Rational, rational
from gxpo.grading.spelling import squeezed
from gxpo.grading.tokens import FUNCTIONS
from gxpo.grading.units import Unit, split_unit, units_differ

LONGEST_COMPARED = 500  # characters; longer answers are equal only as text
DEEPEST_COMPARED = 30  # brackets within brackets

Symbolic = Callable[[str, str], bool]
"""Whether two single LaTeX expressions (gold, given) are equal."""

# What Python and JSON call numbers: a gold answer that became one of these is a missing answer.
_NOT_A_NUMBER = re.compile(r"[+-]?(?:nan|inf(?:inity)?)|nat|<na>", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]*")
_A_WORD = re.compile(r"[A-Za-z]{4}")
_BASED = re.compile(r"(\d[\dA-Fa-f]*) ?_ ?(?:\{ ?(\d{1,2}) ?\}|(\d))")
_ONE_NAME = r"(?:[A-Za-z]|\\[a-z]{1,10})(?:_(?:\w|\{[^{}]*\})|'|\([A-Za-z]\))*"
_NAME = re.compile(
    rf"(?:{_ONE_NAME}|\({_ONE_NAME}(?:, ?{_ONE_NAME})+\)) ?(?:=|\\in(?![a-z])|\\approx(?![a-z]))"
)
_APPROXIMATELY = re.compile(r"^\\(?:approx|sim)(?![A-Za-z]) ?")
# 18gets1, Hal7hats+2: no number, without asking. A policy that has learned nothing yet writes
# little else.
_GLUED = re.compile(
    rf"[^\s\\]*(?<![A-Za-z])(?!frac|det|max|min|mod|gcd|lcm|floor|ceil|sum|{'|'.join(FUNCTIONS)})"
    r"[A-Za-z]{3,}[^\s\\]*"
)
_SCALED_WITH_NOUN = re.compile(r"(.*\d ?[a-z]{5,8}) ([a-z]+(?: [a-z]+){0,2})")
_SIGNS = re.compile(r"[^\w\\]*")


def decided(gold: str, given: str) -> bool | None:
    """What numbers, words and spelling decide about two clean answers; None: ask further."""
    if _NOT_A_NUMBER.fullmatch(gold):
        return False
    if squeezed(gold) == squeezed(given):
        return bool(gold)
    if not given or max(len(gold), len(given)) > LONGEST_COMPARED:
        return False
    if depth(given) > DEEPEST_COMPARED:
        return False
    for rule in (_by_choice, _by_number, _by_word, _by_base):
        verdict = rule(gold, given)
        if verdict is not None:
            return verdict
    return None


def equal(gold: str, given: str, symbolic: Symbolic) -> bool:
    """Whether two clean answers are equal; may take long, in ``symbolic`` above all."""
    given = _APPROXIMATELY.sub("", given)
    verdict = decided(gold, given)
    if verdict is not None:
        return verdict
    choice = chosen(given)
    if choice and choice[1] and asks_for_letter(gold) is None and equal(gold, choice[1], symbolic):
        return True
    gold_named, given_named = _NAME.match(gold), _NAME.match(given)
    if gold_named and not given_named and "=" not in given:
        return equal(gold[gold_named.end() :].strip(), given, symbolic)
    if given_named and not gold_named and "=" not in gold:
        return equal(gold, given[given_named.end() :].strip(), symbolic)
    verdict = _as_containers(gold, given, symbolic)
    if verdict is not None:
        return verdict
    (gold, gold_unit), (given, given_unit) = split_unit(gold, False), split_unit(given)
    if units_differ(gold_unit, given_unit):
        return False
    if gold_unit or given_unit:
        return equal(gold, given, symbolic)
    return symbolic(gold, given)


def _as_containers(gold: str, given: str, symbolic: Symbolic) -> bool | None:
    # 1,000,007 is one number, and as a list it would equal 1,-000,7.
    gold_kind, gold_parts = container(gold) if rational(gold) is None else ("", [])
    given_kind, given_parts = container(given)
    if gold_kind and not given_kind and re.search(r"\[|\]|\\infty", gold):
        interval = as_interval(given)
        return None if interval is None else equal(gold, interval, symbolic)
    if given_kind and (interval := as_interval(gold)):
        return equal(interval, given, symbolic)
    if "union" in (gold_kind, given_kind) and gold_kind != given_kind:
        return None
    if gold_kind and given_kind:
        if gold_kind != given_kind or len(gold_parts) != len(given_parts):
            return False
        if gold_kind in ("set", "union"):
            return _same_elements(gold_parts, given_parts, symbolic)
        return all(equal(*pair, symbolic) for pair in zip(gold_parts, given_parts, strict=True))
    for kind, parts, other in ((gold_kind, gold_parts, given), (given_kind, given_parts, gold)):
        if kind == "set":  # {5} may stand for 5
            alone = len(parts) == 1 and "\\emptyset" not in (parts[0], other)
            pair = (parts[0], other) if parts is gold_parts else (other, parts[0])
            return alone and equal(*pair, symbolic)
    return False if gold_kind not in ("", "union") or given_kind not in ("", "union") else None


def _same_elements(gold: list[str], given: list[str], symbolic: Symbolic) -> bool:
    left = list(given)
    for element in gold:
        # What needs no computation first, so that equal lists cost no symbolic comparison.
        known = (other for other in left if decided(element, other))
        computed = (other for other in left if equal(element, other, symbolic))
        match = next(chain(known, computed), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def _by_choice(gold: str, given: str) -> bool | None:
    letter, choice = asks_for_letter(gold), chosen(given)
    if letter is not None:
        return choice is not None and choice[0] == letter
    if len(gold) == 1 and choice and (choice[1] or given != opened(given)):
        return choice[0] == gold
    return None


def _quantity(text: str, bare_letters: bool) -> tuple[Rational | None, Unit | None]:
    """The number that an answer is, with or without a unit."""
    if (value := rational(text) or in_words(opened(text))) is not None:
        return value, None
    body, unit = split_unit(text, bare_letters)
    if (value := rational(body) or in_words(opened(body))) is not None:
        return value, unit
    if scaled := _SCALED_WITH_NOUN.fullmatch(opened(text)):  # 5 million dollars
        return in_words(scaled[1]), split_unit(f"1 {scaled[2]}")[1]
    return None, None


def _by_number(gold: str, given: str) -> bool | None:
    a, gold_unit = _quantity(gold, bare_letters=False)
    b, given_unit = _quantity(given, bare_letters=True)
    if a is None or b is None:
        return None
    return a.equals(b) and not units_differ(gold_unit, given_unit)


def _by_word(gold: str, given: str) -> bool | None:
    gold_text, given_text = opened(gold), opened(given)
    gold_is_word, given_is_word = _WORDS.fullmatch(gold_text), _WORDS.fullmatch(given_text)
    if gold_is_word and given_is_word:
        if len(gold_text) == len(given_text) == 1:
            return gold_text == given_text
        if gold_text.casefold() == given_text.casefold():
            # aB-bA is no word, and not ab-ba
            return gold_text == given_text or gold != gold_text or bool(_A_WORD.search(gold))
        product = gold == gold_text and given == given_text and len(gold) <= 3  # ab = ba
        return None if product else False
    if gold_is_word and gold != gold_text:
        return False
    value = rational(gold)
    if value is None:
        return None
    sides = split_unit(given_text)[0].split("=")
    if all(_no_number_like(side, value) for side in sides):  # but total=8 may be 8
        return False
    return False if given_is_word and len(given_text) > 3 else None


def _no_number_like(text: str, gold: Rational) -> bool:
    """Whether no computation is needed to say that ``text`` is not the number ``gold``."""
    if _SIGNS.fullmatch(text) or _GLUED.fullmatch(text):
        return True
    value = rational(text)
    return value is not None and not gold.equals(value)


def _by_base(gold: str, given: str) -> bool | None:
    a, b = _BASED.fullmatch(gold), _BASED.fullmatch(given)
    if a and b:
        return (a[1].upper(), a[2] or a[3]) == (b[1].upper(), b[2] or b[3])
    if (a and rational(given)) or (b and rational(gold)):
        return False
    return None
