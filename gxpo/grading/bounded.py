"""Powers, factorials and binomials whose digits fit somewhere: 9^9^9 is not understood.

sympy computes what is given to it at once; these ask first how large the result will be.
"""

from __future__ import annotations

import sympy
from sympy import Expr

from gxpo.grading.tokens import NotUnderstoodError

LARGEST_POWER = 200_000  # bits
LARGEST_FACTORIAL = 10_000


def power_of(base: Expr, exponent: Expr) -> Expr:
    numbers = base.is_Rational and exponent.is_Rational
    size = max(abs(base.p), base.q).bit_length() if numbers else 0
    if numbers and size * abs(exponent) > LARGEST_POWER and abs(base) != 1 and base != 0:
        raise NotUnderstoodError("size")
    return sympy.Pow(base, exponent)


def factorial(value: Expr) -> Expr:
    if value.is_Rational and (value > LARGEST_FACTORIAL or value < 0):
        raise NotUnderstoodError("size")
    return sympy.factorial(value)


def binomial(n: Expr, k: Expr) -> Expr:
    if n.is_Integer and k.is_Integer:
        if not 0 <= n <= LARGEST_FACTORIAL:
            raise NotUnderstoodError("size")
        return sympy.binomial(n, k)
    return sympy.factorial(n) / (sympy.factorial(k) * sympy.factorial(n - k))
