r"""LaTeX in tokens: numbers, names, commands, signs.

Letters side by side are a product (2ab), the name of a function (sinx), or from four on a word:
SRMC is no product that might as well be SMRC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_DIGITS = 400
SHORTEST_WORD = 4

FUNCTIONS = (
    *("arcsin", "arccos", "arctan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("sin", "cos", "tan", "cot", "sec", "csc", "sqrt", "exp", "log", "ln", "lg", "abs"),
)
_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu"
    " xi rho varrho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi"
    " Sigma Upsilon Phi Psi Omega ell hbar mho odot infty aleph partial"
)
GREEK = frozenset(_GREEK.split())
_STYLES = (
    "mathbf mathit mathsf mathtt mathcal mathbb mathfrak mathscr mathnormal boldsymbol bm pmb"
    " operatorname text"
)
STYLES = frozenset(_STYLES.split())
_ACCENTS = "dot ddot hat widehat bar overline vec overrightarrow tilde widetilde underline"
ACCENTS = frozenset(_ACCENTS.split())
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d*)?(?:[eE][+-]?\d{1,4}(?![\d.]))?"
    r"|\.\d+)|(?P<letters>[A-Za-z]+)|\\(?P<command>[A-Za-z]+|[^A-Za-z])|(?P<sign>\S))",
    re.ASCII,
)
_FUNCTION = re.compile("|".join(FUNCTIONS))


class NotUnderstoodError(Exception):
    """The text is no expression of the kind that this package reads."""


@dataclass(frozen=True)
class Token:
    kind: str  # number, letter, word, command, sign
    text: str
    glued: bool  # to the token before it, without a space


def tokens(text: str) -> list[Token]:
    """All tokens of ``text``; raises NotUnderstoodError for numbers of too many digits."""
    found: list[Token] = []
    end = len(text.rstrip())
    at = 0
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotUnderstoodError(text[at : at + 10])
        kind = match.lastgroup or ""
        body = match[kind]
        glued = match.start(kind) == at
        at = match.end()
        if kind == "letters":
            found += _letters(body, glued)
        elif kind == "number" and len(body) > MOST_DIGITS:
            raise NotUnderstoodError("digits")
        else:
            found.append(Token(kind, body, glued))
    return found


def _letters(run: str, glued: bool) -> list[Token]:
    function = _FUNCTION.match(run)
    if function and len(run) - function.end() < SHORTEST_WORD - 1:
        rest = run[function.end() :]
        return [Token("command", function[0], glued), *(_letters(rest, True) if rest else [])]
    if run in ("pi", "Pi"):
        return [Token("command", "pi", glued)]
    if len(run) >= SHORTEST_WORD:
        return [Token("word", run, glued)]
    return [Token("letter", letter, glued or i > 0) for i, letter in enumerate(run)]
