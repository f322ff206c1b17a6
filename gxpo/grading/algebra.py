"""Are two sympy expressions equal? By their values at several points, in many digits.

Equal numbers agree in sixty digits, relative to their size; what such a comparison could miss
(1 + 1/1500! and 1 + 1/1502!, or a sum that cancels to nothing) must also be proved by sympy's
simplification. Not proved is not equal.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeAlias

import sympy
from sympy import Expr

DIGITS = 60  # that values have to agree in
_CHECKED = DIGITS + 15
_TOLERANCE = sympy.Rational(1, 10**DIGITS)
_MODERATE = 100  # numbers up to it, and from 1 / it on, cannot hide below sixty digits of others
_PRIMES = (
    *(1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069, 1087, 1091, 1093),
    *(1097, 1103, 1109, 1117, 1123, 1129, 1151, 1153, 1163, 1171, 1181, 1187, 1193, 1201, 1213),
)

# Equal on whole pieces of the line, as |x-3| and 3-x are: points do not tell them apart.
_PIECEWISE = (sympy.floor, sympy.ceiling, sympy.Abs)

Value: TypeAlias = Any
"""A sympy expression or an immutable matrix."""
Point = dict[sympy.Symbol, sympy.Rational]


def same_value(a: Value, b: Value) -> bool:
    """Whether two expressions, or two matrices entry by entry, are equal for all real values of
    their symbols."""
    if isinstance(a, sympy.MatrixBase) or isinstance(b, sympy.MatrixBase):
        both = isinstance(a, sympy.MatrixBase) and isinstance(b, sympy.MatrixBase)
        return both and a.shape == b.shape and all(map(same_value, a.flat(), b.flat()))
    if not (_finite(a) and _finite(b)):
        return False
    if a == b:
        return True
    if a.is_Rational and b.is_Rational:
        return False
    if a.has(*_PIECEWISE) or b.has(*_PIECEWISE):
        return _proved_zero(a - b)
    points = _points(a.free_symbols | b.free_symbols)
    if not points:
        return False
    first, *others = points
    if not _same_at(first, a, b):
        return False
    if not all(_same_at(point, a, b, only_real=True) in (True, None) for point in others):
        return False
    return (_moderate(a) and _moderate(b)) or _proved_zero(a - b)


def constant_ratio(a: Expr, b: Expr) -> Expr | None:
    """The number c with a = c b for all values of the symbols, or None; never 0."""
    points = _points(a.free_symbols | b.free_symbols)
    values = [side.subs(points[0]) for side in (a, b)] if points else []
    if not values or not all(_finite(value) and not value.is_zero for value in values):
        return None
    ratio = sympy.cancel(values[0] / values[1])
    return ratio if same_value(a, ratio * b) else None


def rounds_to(value: Expr, decimal: Fraction, places: int) -> bool:
    """Whether a real number, rounded to ``places``, is this decimal."""
    if not _finite(value) or value.free_symbols:
        return False
    number = value.evalf(places + 30)
    if not number.is_Float:
        return False
    exact = Fraction(int(sympy.floor(number * 10 ** (places + 10))), 10 ** (places + 10))
    return round(exact, places) == decimal


def _finite(value: Expr) -> bool:
    return isinstance(value, Expr) and not value.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)


def _points(symbols: set[sympy.Symbol]) -> list[Point]:
    """Three points with all symbols positive, from a half to ten, and for each symbol one where it
    alone is negative: |x| is not x. Always the same points: a verdict may not depend on luck."""
    names = sorted(symbols, key=lambda symbol: symbol.name)
    if not names:
        return [{}]
    if len(names) > len(_PRIMES):
        return []
    first = {name: sympy.Rational(p, 701) for name, p in zip(names, _PRIMES, strict=False)}
    second = {
        name: sympy.Rational(p, 2503) for name, p in zip(names, reversed(_PRIMES), strict=False)
    }
    third = {name: sympy.Rational(p, 101) for name, p in zip(names, _PRIMES, strict=False)}
    negative = [first | {name: -first[name]} for name in names if not name.is_positive]
    return [first, second, third, *negative]


def _same_at(point: Point, a: Expr, b: Expr, only_real: bool = False) -> bool | None:
    """None where neither has a value there; with ``only_real`` also where one has no real value:
    ln(x^2) is 2 ln x although only the former is real for a negative x."""
    left, right = a.subs(point), b.subs(point)
    if not _finite(left) and not _finite(right):
        return None
    if not (_finite(left) and _finite(right)):
        return False
    if left.is_Rational and right.is_Rational:
        return bool(left == right)
    x, y = left.evalf(_CHECKED, maxn=400), right.evalf(_CHECKED, maxn=400)
    if not (_numeric(x) and _numeric(y)):
        return False
    if only_real and not (x.is_real and y.is_real) and not (a.has(sympy.I) or b.has(sympy.I)):
        return None
    if _vanishes(x) or _vanishes(y):
        return _vanishes(x) and _vanishes(y) and _proved_zero(a - b)
    difference = sympy.Abs(x - y)
    return bool(difference <= _TOLERANCE * max(sympy.Abs(x), sympy.Abs(y)))


def _numeric(value: Expr) -> bool:
    return bool(value.is_number) and all(
        part.is_Float or part.is_Rational for part in value.as_real_imag()
    )


def _vanishes(value: Expr) -> bool:
    """Zero, or no digit of it is certain."""
    parts = [part for part in value.as_real_imag() if part != 0]
    return all(part.is_Float and part._prec <= 1 for part in parts)


def _moderate(value: Expr) -> bool:
    """Whether nothing in a sum can be lost behind sixty digits of the rest."""
    if not value.has(sympy.Add):
        return True
    exponents = [power.as_base_exp()[1] for power in value.atoms(sympy.Pow, sympy.exp)]
    numbers = [*value.atoms(sympy.Rational), *(e.evalf(5) for e in exponents if e.is_number)]
    return all(n == 0 or _MODERATE >= abs(n) >= 1 / _MODERATE for n in numbers)


def _proved_zero(difference: Expr) -> bool:
    return any(step(difference) == 0 for step in (sympy.expand, sympy.radsimp, sympy.simplify))
