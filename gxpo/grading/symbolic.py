r"""Expressions, equations and inequalities, by the rules of ``latex`` and ``algebra``.

Only the grading worker imports this: sympy takes a second to load, and there is no bound on what
an expression can make it do.

math-verify, the field's comparison, is asked for gold answers with integrals, sums, products,
limits and sets, which ``latex`` does not read. A policy cannot choose to be judged by it.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
from math_verify import parse, verify
from math_verify.parser import LatexExtractionConfig
from sympy import Expr

from gxpo.grading.algebra import Value, constant_ratio, rounds_to, same_value
from gxpo.grading.latex import expression
from gxpo.grading.rationals import rational
from gxpo.grading.tokens import NotUnderstoodError

logging.disable(logging.CRITICAL)  # math-verify warns that its timers are off

_RELATION = re.compile(r"\\(?:leq?|geq?|ne|equiv|subset|in)(?![A-Za-z])|[<>=]")
_MIRRORED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "=": "=", "\\ne": "\\ne"}
_NOT_OURS = re.compile(
    r"\\(?:sum|prod|i{1,3}nt|oint|lim|cup|cap|setminus|mathbb|max|min|gcd|det)(?![a-z])"
)
# units=False: gxpo.grading.units drops them, math-verify would read 3t as 3 tons.
_WHOLE_BOX = [
    LatexExtractionConfig(
        try_extract_without_anchor=False,
        boxed_match_priority=0,
        normalization_config=NormalizationConfig(
            basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="last"
        ),
    )
]

Relation = tuple[str, Expr, Expr]


def symbolically_equal(gold: str, given: str) -> bool:
    """Whether two LaTeX expressions are equal: False where one cannot be understood."""
    if _NOT_OURS.search(gold):
        return _by_math_verify(gold, given)
    try:
        return _equal(gold, given)
    except (NotUnderstoodError, ArithmeticError, ValueError, TypeError, AttributeError):
        return False  # sympy says in all these ways that it cannot


def _equal(gold: str, given: str) -> bool:
    relations = _relations(gold)
    if relations:
        return _same_relations(relations, _relations(given))
    wanted = expression(gold)
    if _RELATION.search(given.replace("=", "")):
        return False
    first, *sides = given.split("=")
    if not sides:
        return _same(gold, wanted, given)
    # a + b = 5 is 5: what was asked for, and its value. 1 = 5 is not, nor is n = 4 = 5.
    asked_for = expression(first)
    if not asked_for.free_symbols:
        sides.append(first)
    return all(_same(gold, wanted, side) for side in sides)


def _same(gold: str, wanted: Value, text: str) -> bool:
    found = expression(text)
    if same_value(wanted, found):
        return True
    for decimal, exact in ((gold, found), (text, wanted)):
        number = rational(decimal)
        if number is None or number.places is None or not isinstance(exact, Expr):
            continue
        if number.digits_enough() and not exact.is_Rational:
            return rounds_to(exact, number.value, number.places)
    return False


def _relations(text: str) -> list[Relation]:
    """a < b < c as a < b and b < c; [] for an expression."""
    signs = _RELATION.findall(text)
    if not signs:
        return []
    sides = [expression(side) for side in _RELATION.split(text)]
    if any(sign not in _MIRRORED for sign in signs) or not all(isinstance(s, Expr) for s in sides):
        raise NotUnderstoodError("relation")
    return list(zip(signs, sides, sides[1:], strict=False))


def _same_relations(gold: list[Relation], given: list[Relation]) -> bool:
    if len(gold) != len(given):
        return False
    both = (given, [(_MIRRORED[sign], right, left) for sign, left, right in reversed(given)])
    return any(all(map(_same_relation, gold, order)) for order in both)


def _same_relation(gold: Relation, given: Relation) -> bool:
    sign, left, right = gold
    ratio = constant_ratio(left - right, given[1] - given[2])
    if ratio is not None:
        if sign in ("=", "\\ne"):
            return sign == given[0]
        return bool(ratio.is_real) and (given[0] if ratio > 0 else _MIRRORED[given[0]]) == sign
    return sign == given[0] == "=" and (_solves(gold, given) or _solves(given, gold))


def _solves(solved: Relation, other: Relation) -> bool:
    """Whether ``solved`` is name = value, and ``other`` an equation of which that is the one
    solution, because the name stands in it once and to the first power."""
    name, value = solved[1], solved[2]
    difference = sympy.together(other[1] - other[2]).as_numer_denom()[0]
    if not isinstance(name, sympy.Symbol) or name in value.free_symbols:
        return False
    polynomial = sympy.Poly(sympy.expand(difference), name)
    if polynomial.degree() != 1 or name in polynomial.LC().free_symbols:
        return False
    return same_value(-polynomial.nth(0) / polynomial.nth(1), value)


def _by_math_verify(gold: str, given: str) -> bool:
    gold_parsed = _parse(gold)
    return bool(gold_parsed) and bool(
        verify(gold_parsed, _parse(given), timeout_seconds=None)  # type: ignore[arg-type]
    )


def _parse(text: str) -> list[Any]:
    # No fallback: math-verify's would take any number inside of what it cannot parse.
    return parse(
        f"\\boxed{{{text}}}",
        _WHOLE_BOX,
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,  # type: ignore[arg-type]
    )
