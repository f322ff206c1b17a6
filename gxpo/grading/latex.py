r"""One LaTeX expression as a sympy expression, by a grammar of its own.

It knows what answers are made of: numbers, symbols, powers, fractions, roots, functions, matrices.
What it does not know is not understood, and then not equal to anything: a parser that guesses takes
x(t) for x times t, \gamma for Euler's constant, I for the imaginary unit, dv/dt of plain symbols
for 0 - and a policy finds what a guess is good for.
"""

from __future__ import annotations

import re

import sympy
from sympy import Expr

from gxpo.grading.bounded import binomial, factorial, power_of
from gxpo.grading.symbols import Reader
from gxpo.grading.tokens import FUNCTIONS, NotUnderstoodError, Token, tokens

_CALLS = {
    **{name: getattr(sympy, name) for name in ("sin", "cos", "tan", "cot", "sec", "csc", "exp")},
    **{name: getattr(sympy, name) for name in ("sinh", "cosh", "tanh", "asin", "acos", "atan")},
    **{"arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan, "ln": sympy.log},
    **{"sqrt": sympy.sqrt, "abs": sympy.Abs},
}
_INVERSES = {name: _CALLS["a" + name] for name in ("sin", "cos", "tan")}
_BASE_LEFT_OPEN = sympy.Symbol("base of log", positive=True)  # 10, e or 2: nobody can know
_CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}", "\\lfloor": "\\rfloor"} | {
    "\\lceil": "\\rceil",
    "\\lvert": "\\rvert",
}
_INFINITE = re.compile(r" ?[+-]? ?\\infty ?")
_GROUPS = ("(", "[", "{")
_TIMES = ("*", "\\cdot", "\\times")
_MATRICES = ("pmatrix", "bmatrix", "matrix", "Bmatrix", "vmatrix", "smallmatrix", "array")


def expression(text: str) -> Expr | sympy.ImmutableMatrix:
    """``text`` as a whole; raises NotUnderstoodError."""
    if "\\infty" in text and not _INFINITE.fullmatch(text):  # 0 times infinity is nothing
        raise NotUnderstoodError("infinity in a sum")
    parser = _Parser(tokens(text))
    found = parser.sum()
    if parser.next is not None:
        raise NotUnderstoodError(parser.next)
    return found


class _Parser(Reader):
    """Recursive descent; ``in_bars`` counts the |...| around the place that is being read."""

    def __init__(self, found: list[Token]) -> None:
        super().__init__(found)
        self.in_bars = 0

    def sum(self) -> Expr:
        sign = -1 if self.take("-") else 1
        if sign == 1:
            self.take("+")
        total = sign * self.product()
        while self.next in ("+", "-"):
            sign = 1 if self.pop() == "+" else -1
            total = total + sign * self.product()
        return total

    def product(self) -> Expr:
        value, plain = self.factor()
        while True:
            if self.next in _TIMES:
                self.pop()
                sign = -1 if self.take("-") else 1
                factor, plain = self.factor()
                value = value * sign * factor
            elif self.next in ("/", "\\div"):
                self.pop()
                factor, plain = self.factor()
                value = value / factor
            elif self.starts_factor():
                mixed = plain and self.next == "\\frac"
                if self.kind == "number" and self.behind not in (")", "]"):  # 2 3, x2
                    raise NotUnderstoodError("number behind a factor")
                factor, _ = self.factor()
                mixed = mixed and factor.is_Rational and factor > 0
                value = value + factor if mixed else value * factor
                plain = False
            else:
                return value

    def starts_factor(self) -> bool:
        if self.kind in ("number", "letter", "word"):
            return True
        if self.next in _GROUPS or (self.next == "|" and not self.in_bars):
            return True
        known = ("frac", "binom", "sqrt", "lfloor", "lceil", "lvert", "begin", *FUNCTIONS)
        command = self.kind == "command" and (self.next or "")[1:] in known
        return command or self.starts_symbol()

    def factor(self) -> tuple[Expr, bool]:
        """A base with its powers and factorials, and whether it is a plain integer."""
        plain = self.kind == "number"
        value = self.base()
        plain = plain and bool(value.is_Integer)
        while self.next in ("^", "!", "\\%", "%"):
            plain = False
            mark = self.pop()
            if mark == "!":
                value = factorial(value)
            elif mark in ("\\%", "%"):
                value = value / 100
            elif self.take("\\circ") or self.takes_all("{", "\\circ", "}"):
                value = value * sympy.pi / 180
            else:
                value = power_of(value, self.exponent())
                if self.next == "^":  # x^2^3 is no LaTeX
                    raise NotUnderstoodError("double superscript")
        if self.next == "!":
            raise NotUnderstoodError("double factorial")
        return value, plain

    def exponent(self) -> Expr:
        sign = -1 if self.take("-") else 1
        if self.kind == "number" and self.next and len(self.next) > 1:
            return sign * self.base()  # x^12: meant as typed, not as TeX sets it
        return sign * self.base()

    def base(self) -> Expr:
        if self.kind == "number":
            return self.number()
        if self.next in _GROUPS:
            return self.group()
        if self.next == "|":
            return self.bars()
        name = self.next[1:] if self.kind == "command" and self.next else ""
        if name in FUNCTIONS:
            self.pop()
            return self.call(name)
        if name in ("lfloor", "lceil", "lvert"):
            inner = self.group()
            return {"lfloor": sympy.floor, "lceil": sympy.ceiling, "lvert": sympy.Abs}[name](inner)
        if name == "frac":
            return self.fraction()
        if name == "binom":
            self.pop()
            return binomial(self.argument_group(), self.argument_group())
        if name == "begin":
            return self.matrix()
        return self.symbol()

    def group(self) -> Expr:
        closing = _CLOSING[self.pop()]
        bars, self.in_bars = self.in_bars, 0
        value = self.sum()
        self.in_bars = bars
        self.expect(closing)
        return value

    def bars(self) -> Expr:
        self.expect("|")
        self.in_bars += 1
        value = self.sum()
        self.in_bars -= 1
        self.expect("|")
        return sympy.Abs(value)

    def argument_group(self) -> Expr:
        r"""What stands behind \frac or \sqrt: a group, or one character."""
        if self.next == "{":
            return self.group()
        if self.kind == "number":
            return self.one_digit()
        return self.base()

    def fraction(self) -> Expr:
        if derivative := self.derivative():
            return derivative
        self.pop()
        top = self.argument_group()
        return top / self.argument_group()

    def call(self, name: str) -> Expr:
        base, power = None, None
        for _ in range(2):
            if name == "log" and self.take("_"):
                base = self.argument_group()
            elif name != "sqrt" and self.take("^"):
                power = self.exponent() if self.next != "{" else self.group()
        if name == "sqrt":
            index = self.group() if self.next == "[" else sympy.Integer(2)
            inner = self.argument_group() if self.next != "(" else self.group()
            return sympy.root(inner, index)
        if name == "abs" and self.next not in _GROUPS:
            raise NotUnderstoodError(name)
        inner = self.call_argument()
        if name in ("log", "lg"):
            base = sympy.Integer(10) if name == "lg" else base
            value = sympy.log(inner) / sympy.log(_BASE_LEFT_OPEN if base is None else base)
        elif power == -1 and name in _INVERSES:
            return _INVERSES[name](inner)
        else:
            value = _CALLS[name](inner)
        if power is not None and power.is_negative:  # ln^{-1}: inverse or reciprocal?
            raise NotUnderstoodError("inverse")
        return value if power is None else power_of(value, power)

    def call_argument(self) -> Expr:
        if self.next in ("(", "{", "["):
            return self.group()
        sign = -1 if self.take("-") else 1
        value, _ = self.factor()
        while self.starts_factor() and self.next not in ("(", "[", "|"):
            if self.kind == "number" or (self.next or "")[1:] in (*FUNCTIONS, "begin"):
                break
            factor, _ = self.factor()
            value = value * factor
        return sign * value

    def matrix(self) -> sympy.ImmutableMatrix:
        self.pop()
        name = self.environment()
        if name not in _MATRICES:
            raise NotUnderstoodError(name)
        if name == "array":
            self.skip_group()
        rows = [[self.sum()]]
        while True:
            if self.take("&"):
                rows[-1].append(self.sum())
            elif self.take("\\\\"):
                if self.next != "\\end":
                    rows.append([self.sum()])
            else:
                break
        self.expect("\\end")
        if self.environment() != name or len({len(row) for row in rows}) != 1:
            raise NotUnderstoodError("matrix")
        found = sympy.ImmutableMatrix(rows)
        return found.det() if name == "vmatrix" else found
