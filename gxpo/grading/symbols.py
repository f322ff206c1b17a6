r"""Names in LaTeX expressions, each a symbol of its own: x, x_1, x', \dot{x}, x(t), \gamma, dv/dt.

A symbol is its spelling, nothing else: a letter is no function, no constant but e, i and \pi, and
two spellings are two symbols, also where only the case differs.
"""

from __future__ import annotations

import re

import sympy
from sympy import Expr

from gxpo.grading.rationals import rational
from gxpo.grading.tokens import ACCENTS, GREEK, STYLES, NotUnderstoodError, Token

_FUNCTION_LETTERS = "fgh"  # f(x+1) is a value of f, n(n+1) a product
_CONSTANTS = {"e": sympy.E, "i": sympy.I, "\\imath": sympy.I, "\\pi": sympy.pi}
_DIFFERENTIALS = ("d", "\\partial")


class Reader:
    """A place in a list of tokens, and what can be read there without knowing about operators."""

    def __init__(self, found: list[Token]) -> None:
        self._found = found
        self._at = 0

    @property
    def next(self) -> str | None:
        """The next token's text, a command with its backslash; None at the end."""
        return self._peek(0)

    @property
    def behind(self) -> str | None:
        """The token before the next one."""
        return self._peek(-1)

    @property
    def kind(self) -> str | None:
        return self._found[self._at].kind if self._at < len(self._found) else None

    def _peek(self, ahead: int) -> str | None:
        at = self._at + ahead
        if not 0 <= at < len(self._found):
            return None
        token = self._found[at]
        return "\\" + token.text if token.kind == "command" else token.text

    def pop(self) -> str:
        text = self.next
        if text is None:
            raise NotUnderstoodError("the end")
        self._at += 1
        return text

    def take(self, text: str) -> bool:
        """Whether the next token is this one, which then is behind us."""
        if self.next != text:
            return False
        self._at += 1
        return True

    def takes_all(self, *texts: str) -> bool:
        if any(self._peek(i) != text for i, text in enumerate(texts)):
            return False
        self._at += len(texts)
        return True

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise NotUnderstoodError(f"{text} is missing")

    def sum(self) -> Expr:
        raise NotImplementedError

    def number(self) -> Expr:
        found = rational(self.pop())
        if found is None:
            raise NotUnderstoodError("number")
        return sympy.Rational(found.value.numerator, found.value.denominator)

    def one_digit(self) -> Expr:
        r"""\frac12 has the tokens \frac and 12."""
        token = self._found[self._at]
        if not token.text.isdigit():
            raise NotUnderstoodError("digit")
        rest = token.text[1:]
        if rest:
            self._found[self._at] = Token("number", rest, True)
        else:
            self._at += 1
        return sympy.Integer(token.text[0])

    def starts_symbol(self) -> bool:
        name = (self.next or "")[1:] if self.kind == "command" else ""
        return self.kind in ("letter", "word") or (
            name in GREEK or name in STYLES or name in ACCENTS or name in ("pi", "imath", "angle")
        )

    def symbol(self) -> Expr:
        if not self.starts_symbol():
            raise NotUnderstoodError(self.next)
        name = self._name()
        marks = self._marks()
        if not marks and name in _CONSTANTS:
            return _CONSTANTS[name]
        name += marks
        if self.next == "(":
            name += self._application(name)
        return sympy.Symbol(name, real=True)

    def _name(self) -> str:
        text = self.pop()
        if text == "\\angle":
            return text + "".join(self._raw_while(("letter", "word", "number")))
        if text[1:] in ACCENTS or (text[1:] in STYLES and text[0] == "\\"):
            inner = self._raw_group()
            if not inner or any(token.kind not in ("letter", "word", "command") for token in inner):
                raise NotUnderstoodError(text)
            plain = "".join(token.text for token in inner)
            if text == "\\text":  # a letter in upright type is that letter, a word is a word
                return plain if len(plain) == 1 else f"text {plain.casefold()}"
            return f"{text}{{{plain}}}"
        return text

    def _marks(self) -> str:
        """Subscripts and primes."""
        found = ""
        while True:
            if self.take("_"):
                found += "_" + self._flat_group()
            elif self.take("'"):
                found += "'"
            elif self.next == "^" and self._peek(1) == "\\prime":
                self._at += 2
                found += "'"
            elif self.next == "^" and self._peek(1) == "{" and self._peek(2) == "\\prime":
                self._at += 2
                while self.take("\\prime"):
                    found += "'"
                self.expect("}")
            else:
                return found

    def _application(self, name: str) -> str:
        """(t), (0), (x, y) behind a name: its value there, not a product."""
        start = self._at
        inner = self._raw_group()
        kinds = [token.kind for token in inner]
        single = all(
            token.text == "," if i % 2 else kinds[i] in ("number", "letter", "command")
            for i, token in enumerate(inner)
        )
        if single and len(inner) % 2 and not any(t.text in ("frac", "sqrt") for t in inner):
            return "(" + "".join(token.text for token in inner) + ")"
        self._at = start
        if name not in _FUNCTION_LETTERS:
            return ""
        self.expect("(")
        value = sympy.expand(self.sum())
        self.expect(")")
        return f"({value})"

    def derivative(self) -> Expr | None:
        r"""\frac{dv}{dt} as one symbol; None where the fraction is an ordinary one."""
        start = self._at
        self.pop()
        if self.next != "{":
            self._at = start
            return None
        top, bottom = self._raw_group(), self._raw_group() if self.next == "{" else []
        if not _are_differentials(top, bottom):
            self._at = start
            return None
        below = _flat(bottom[1:])
        order, function = _order(top[1:])
        if not function:
            value = self.symbol()
            if not isinstance(value, sympy.Symbol):
                raise NotUnderstoodError("derivative")
            function = value.name
        elif not _is_name(function):
            raise NotUnderstoodError("derivative")
        return sympy.Symbol(f"{top[0].text}{order} {function}/{below}", real=True)

    def environment(self) -> str:
        self.expect("{")
        name = self.pop()
        while not self.take("}"):
            name += self.pop()
        return name

    def skip_group(self) -> None:
        self._raw_group()

    def _raw_while(self, kinds: tuple[str, ...]) -> list[str]:
        found = []
        while self.kind in kinds or self.next == "_":
            found.append(self._flat_group() if self.take("_") else self.pop())
        return found

    def _raw_group(self) -> list[Token]:
        """The tokens inside of the brackets that open here."""
        opening = self.pop()
        if opening not in ("{", "(", "["):
            raise NotUnderstoodError("group")
        start, depth = self._at, 1
        while depth:
            depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(self.pop(), 0)
        return self._found[start : self._at - 1]

    def _flat_group(self) -> str:
        if self.next == "{":
            return _flat(self._raw_group())
        if self.kind == "number":
            return str(self.one_digit())
        return self.pop()


def _are_differentials(top: list[Token], bottom: list[Token]) -> bool:
    r"""d... over d and a name: \frac{d_1}{d_2} is none, nor is \frac{d!}{d(d-1)}."""
    if not top or len(bottom) < 2 or _text(bottom[0]) not in _DIFFERENTIALS:
        return False
    named = bottom[1].kind == "letter" or bottom[1].text in GREEK
    return named and _text(top[0]) == _text(bottom[0])


def _text(token: Token) -> str:
    return "\\" + token.text if token.kind == "command" else token.text


def _flat(found: list[Token]) -> str:
    r"""Without braces and \text, so that x_{\text{max}} is x_{max}."""
    return " ".join(_text(token) for token in found if token.text not in ("{", "}", "text"))


def _order(top: list[Token]) -> tuple[str, str]:
    """Of d^2 v: 2 and v."""
    if top and top[0].text == "^":
        if len(top) > 3 and top[1].text == "{":
            return top[2].text, _flat(top[4:])
        return (top[1].text if len(top) > 1 else ""), _flat(top[2:])
    return "", _flat(top)


def _is_name(flat: str) -> bool:
    return re.fullmatch(r"(?:[A-Za-z]|\\[A-Za-z]+)(?: [_'] ?\w*| \( \w \))*", flat) is not None
