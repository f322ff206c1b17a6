r"""Do two answers mean the same? Numbers, words, lists and intervals here; the rest is symbolic.

math-verify, the field's comparison, is used for single expressions only. Alone it accepts
"seat" for "east" (a product of the same letters), 204_6 for 204_5, "1,2" for (1,2), and drops
single letters as units (3t = 3): a false "equal" pays every method for being wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain

from gxpo.grading.rationals import Rational, rational
from gxpo.grading.units import split_unit, units_differ

LONGEST_COMPARED = 500  # characters; longer answers are equal only as text
DEEPEST_COMPARED = 30  # brackets within brackets; math-verify's time grows exponentially with them

Symbolic = Callable[[str, str], bool]
"""Whether two single LaTeX expressions (gold, given) are equal."""

_CHARACTERS = str.maketrans(
    dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "-")
    | dict.fromkeys("\u00a0\u2002\u2003\u2009\u200a\u202f\u3000", " ")
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff")
    | {chr(0xFF10 + digit): str(digit) for digit in range(10)}
    | {chr(code): " " for code in (*range(32), *range(127, 160))}
    | {"×": r"\times ", "·": r"\cdot ", "÷": "/", "π": r"\pi ", "∞": r"\infty "}
    | {"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in "}
    | {"±": r"\pm ", "°": r"^\circ", "²": "^2", "³": "^3", "％": "%", "，": ","}
    | {"½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}"}
)
_SPELLINGS = [  # each linear: no repeated group can match the same text in two ways
    (re.compile(r"√ ?(\d+)"), r"\\sqrt{\1}"),
    (re.compile(r"√"), r"\\sqrt "),
    (re.compile(r"(?<=\d)(?:\{,\}|,\\!) ?(?=\d{3})"), ""),  # 10,\!080 and 1{,}234
    (re.compile(r"\$ ?([,;]) ?\$"), r"\1 "),  # $8$,$4$ is a list
    (re.compile(r"(?<!\\)\\[()\[\]]"), " "),
    (re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])"), ""),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\[,!;:]|\\(?:displaystyle|q?quad|limits)(?![A-Za-z])"), " "),
    (re.compile(r"(?<!\\)\\ |~"), " "),
    (re.compile(r"\\(?:mathrm|mbox|text(?:bf|rm|it|normal|sf|tt)?) ?\{"), r"\\text{"),
    (re.compile(r"_\{ ?\\text\{([^{}]*)\} ?\}"), r"_{\1}"),
    (re.compile(r"\\([gl])eq(?:slant)?(?![A-Za-z])"), r"\\\1e"),
    (re.compile(r"\\neq(?![A-Za-z])"), r"\\ne"),
    (re.compile(r"\^ ?(?:\\circ(?![A-Za-z])|\{ ?\\circ ?\})"), ""),  # degrees: the number counts
    (re.compile(r"\\%|\\text\{ ?(?:percent|%) ?\}| ?\bpercent\b"), "%"),
    (re.compile(r",? ?(?:\\text\{ ?(?:and|or) ?\}|(?<=[ \d)}\]])(?:and|or)(?= )) ?"), ", "),
    (re.compile(r"\\\$|\$|[*`]{2,}"), ""),
]
_SPACES = re.compile(r"\s+")
_STYLED = re.compile(r"\\(text|math(?:bf|it|sf|tt|normal)|boldsymbol|bm|pmb) ?\{(.*)\}")
_TEXT_COMMAND = re.compile(r"\\text\{([^{}\\]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]*")
_CHOICE = re.compile(r"\(([A-Ja-j])\)")
_BASED = re.compile(r"(\d[\dA-Fa-f]*) ?_ ?(?:\{ ?(\d{1,2}) ?\}|(\d))")
_NAME = re.compile(
    r"(?:[A-Za-z]|\\[a-z]{1,10})(?:_(?:\w|\{[^{}]*\})|'|\([A-Za-z]\))* ?(?:=|\\in(?![a-z]))"
)
_SIDE_BY_SIDE = re.compile(r"\d +\d")  # math-verify reads "2 3" as 2+3
# 18gets1, Hal7hats+2: no number. math-verify takes up to half a second for a product of letters,
# and a policy that has learned nothing yet writes little else.
_GLUED = re.compile(
    r"[^\s\\]*(?<![A-Za-z])"
    r"(?!sqrt|frac|sin|cos|tan|cot|sec|csc|arc|log|exp|abs|min|max|mod|gcd|lcm|floor|ceil|sum|det)"
    r"[A-Za-z]{3,}[^\s\\]*"
)
_SUMS = re.compile(r"\\(?:frac|sqrt|cdot|times|div|pi|binom)(?![A-Za-z])")
_SIGNS = re.compile(r"[^\w\\]*")
_OPEN, _CLOSE = {"(", "[", "{", "\\{"}, {")", "]", "}", "\\}"}


def clean(text: str) -> str:
    """The same answer in fewer spellings; linear in the length."""
    text = _SPACES.sub(" ", text.translate(_CHARACTERS))
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = _SPACES.sub(" ", text).strip()
    text = text.strip('`"“”').rstrip(".,;:").strip()
    text = _unstyled(text)
    if len(text) > 1 and text[0] == "{" and text[-1] == "}" and not set(text[1:-1]) & set("{}"):
        text = text[1:-1].strip()
    return text


def _unstyled(text: str) -> str:
    r"""What stands in a \mathbf{...} or its like around the whole; in a \text{...} with a digit: a
    number and its unit, perhaps."""
    styled = _STYLED.fullmatch(text)
    if styled is None or (styled[1] == "text" and not re.search(r"\d", styled[2])):
        return text
    depth = 0
    for brace in re.findall(r"[{}]", styled[2]):
        depth += 1 if brace == "{" else -1
        if depth < 0:  # the first brace is closed before the end: two commands, not one around all
            return text
    return styled[2].strip()


def decided(gold: str, given: str) -> bool | None:
    """What numbers, words and spelling decide about two clean answers; None: ask further."""
    if squeezed(gold) == squeezed(given):
        return bool(gold)
    if not given or max(len(gold), len(given)) > LONGEST_COMPARED:
        return False
    if _depth(given) > DEEPEST_COMPARED:
        return False
    for rule in (_by_choice, _by_word, _by_number, _by_base):
        verdict = rule(gold, given)
        if verdict is not None:
            return verdict
    return None


def equal(gold: str, given: str, symbolic: Symbolic) -> bool:
    """Whether two clean answers are equal; may take long, in ``symbolic`` above all."""
    verdict = decided(gold, given)
    if verdict is not None:
        return verdict
    gold_kind, gold_parts = _container(gold)
    given_kind, given_parts = _container(given)
    if gold_kind and given_kind:
        if gold_kind != given_kind or len(gold_parts) != len(given_parts):
            return False
        if gold_kind == "set":
            return _same_elements(gold_parts, given_parts, symbolic)
        return all(equal(*pair, symbolic) for pair in zip(gold_parts, given_parts, strict=True))
    if gold_kind == "set" and "\\cup" not in given:
        return len(gold_parts) == 1 and equal(gold_parts[0], given, symbolic)
    if given_kind == "set" and "\\cup" not in gold:
        return len(given_parts) == 1 and equal(gold, given_parts[0], symbolic)
    gold_named, given_named = _NAME.match(gold), _NAME.match(given)
    if gold_named and not given_named and "=" not in given:
        return equal(gold[gold_named.end() :].strip(), given, symbolic)
    if given_named and not gold_named and "=" not in gold:
        return equal(gold, given[given_named.end() :].strip(), symbolic)
    (gold, gold_unit), (given, given_unit) = split_unit(gold), split_unit(given)
    if units_differ(gold_unit, given_unit) or _SIDE_BY_SIDE.search(given):
        return False
    gold_text, given_text = squeezed(gold), squeezed(given)
    if gold_text.casefold() == given_text.casefold():
        return gold_text == given_text  # 2k is not 2K; math-verify disagrees
    sides = given.split("=") if "=" not in gold else []
    if len(sides) > 1 and not all(equal(gold, s.strip(), symbolic) for s in sides if _is_value(s)):
        return False  # 1=5 is not 5; math-verify takes the right side
    return symbolic(gold, given)


def _is_value(text: str) -> bool:
    """Whether an expression has a value of its own: numbers, and nothing that may be a name."""
    return re.search(r"\d", text) is not None and not re.search(r"[A-Za-z\\]", _SUMS.sub("", text))


def squeezed(text: str) -> str:
    r"""Without spaces, \frac12 as \frac{1}{2} and x_{1} as x_1: for comparison as text."""
    text = re.sub(r"\\frac(\w)(\w)", r"\\frac{\1}{\2}", text.replace(" ", ""), flags=re.ASCII)
    return re.sub(r"([_^])\{(\w)\}", r"\1\2", text, flags=re.ASCII)


def _by_choice(gold: str, given: str) -> bool | None:
    gold_text, given_text = _TEXT_COMMAND.sub(r"\1", gold), _TEXT_COMMAND.sub(r"\1", given)
    choice = _CHOICE.fullmatch(gold_text.strip())
    if not choice:
        return None
    return given_text.strip().strip("()").strip().upper() == choice[1].upper()


def _by_word(gold: str, given: str) -> bool | None:
    gold_text = _TEXT_COMMAND.sub(r"\1", gold).strip()
    given_text = _TEXT_COMMAND.sub(r"\1", given).strip()
    gold_is_word, given_is_word = _WORDS.fullmatch(gold_text), _WORDS.fullmatch(given_text)
    if gold_is_word and given_is_word:
        if len(gold_text) == len(given_text) == 1:
            return gold_text == given_text  # math-verify takes m for M
        if gold_text.casefold() == given_text.casefold():
            return True
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


def _by_number(gold: str, given: str) -> bool | None:
    (gold_body, gold_unit), (given_body, given_unit) = split_unit(gold), split_unit(given)
    a, b = rational(gold_body), rational(given_body)
    if a is None or b is None:
        return None
    return a.equals(b) and not units_differ(gold_unit, given_unit)


def _by_base(gold: str, given: str) -> bool | None:
    a, b = _BASED.fullmatch(gold), _BASED.fullmatch(given)
    if a and b:
        return (a[1].upper(), a[2] or a[3]) == (b[1].upper(), b[2] or b[3])
    if (a and rational(given)) or (b and rational(gold)):
        return False
    return None


def _container(text: str) -> tuple[str, list[str]]:
    """The kind and the elements: "set" for {1,2} and for the bare list 1,2, else the brackets;
    ("", []) for a single expression."""
    for opening, closing in (("\\{", "\\}"), ("(", ")"), ("(", "]"), ("[", ")"), ("[", "]")):
        if text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)]
            parts = [part.strip() for part in _split(inner)]
            if not _balanced(parts):
                continue
            if opening == "\\{":
                return "set", _without_pm(parts)
            if len(parts) > 1:
                return opening + closing, parts
    parts = _without_pm(_split(text))
    return ("set", parts) if len(parts) > 1 and _balanced(parts) else ("", [])


def _tokens(text: str) -> list[str]:
    return re.findall(r"\\[{}]|.", text)


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _split(text: str) -> list[str]:
    """Parts between commas and semicolons that stand outside all brackets."""
    parts, depth = [""], 0
    for token in _tokens(text):
        depth += (token in _OPEN) - (token in _CLOSE)
        if token in ",;" and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def _balanced(parts: list[str]) -> bool:
    for part in parts:
        depth = 0
        for token in _tokens(part):
            depth += (token in _OPEN) - (token in _CLOSE)
            if depth < 0:
                return False
        if depth != 0 or not part:
            return False
    return True


def _without_pm(parts: list[str]) -> list[str]:
    values = []
    for part in parts:
        if part.count("\\pm") == 1:
            values += [re.sub(r"\\pm ?", sign, part) for sign in "+-"]
        else:
            values.append(part)
    return values


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
