r"""One spelling for each answer, as far as characters and LaTeX's manners go: ``clean``.

What is dropped here changes no answer: spaces, sizes of brackets, dollar signs of mathematics. What
may change one (units, degrees, percent, words) only gets one spelling.
"""

from __future__ import annotations

import re
from typing import Any

from gxpo.grading.choices import opened
from gxpo.grading.glyphs import plain_characters
from gxpo.grading.numerals import in_words
from gxpo.grading.rationals import NUMBER
from gxpo.grading.tokens import FUNCTIONS

_CURRENCIES = {
    **{r"\$": "dollars", "€": "euro", "£": "pounds sterling", "¥": "yen", "₹": "rupee"},
    **{"₩": "won", "₽": "ruble", "¢": "cents", "₺": "lira", "₿": "bitcoin", "฿": "baht"},
}
_CURRENCY = r"\\\$|[€£¥₹₩₽¢₺₿฿]"
_ALONE = r"(?= ?(?:$|[,;)\]}$]|\. ?$))"
_BEFORE = re.compile(rf"(?:\b(?:US|A|C|HK|NZ) ?)?({_CURRENCY}) ?(-? ?(?:{NUMBER})){_ALONE}")
_BEHIND = re.compile(rf"(?<=[\d}}]) ?({_CURRENCY}){_ALONE}")
_CODES = re.compile(r"\b(USD|EUR|GBP|JPY|CNY|RMB|INR|Rs)\.? ?(?=\d)")
_SIGN = re.compile(_CURRENCY)

_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,\\!) ?(?=\d{3})")  # 10,\!080 and 1{,}234
_SPELLINGS: list[
    tuple[re.Pattern[str], Any]
] = [  # each linear: no repeated group can match the same text in two ways
    (re.compile(r"√ ?(\d+)"), r"\\sqrt{\1}"),
    (re.compile(r"√ ?(?=\()"), r"\\sqrt "),
    (re.compile(r"√"), r"\\sqrt "),
    (re.compile(r"\.{3,}|\\(?:c|l)?dots(?![A-Za-z])"), r"\\ldots "),
    (re.compile(r"\$ ?([,;]) ?\$"), r"\1 "),  # $8$,$4$ is a list
    (re.compile(r"(?<!\\)\\[()\[\]]"), " "),
    (re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])"), ""),
    (re.compile(r"\\(?:langle|rangle)(?![A-Za-z])"), lambda m: "(" if m[0][1] == "l" else ")"),
    (re.compile(r"\\[lr]brace(?![A-Za-z])"), lambda m: r"\{" if m[0][1] == "l" else r"\}"),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\[dt]binom(?![A-Za-z])"), r"\\binom"),
    (re.compile(r"\\[,!;:>]|\\(?:displaystyle|textstyle|q?quad|limits|hspace)(?![A-Za-z])"), " "),
    (re.compile(r"(?<!\\)\\ |~"), " "),
    (re.compile(r"\\(?:mathrm|operatorname) ?\{ ?([eid])\ ?\}"), r"\1 "),
    (re.compile(r"\\text ?\{ ?i ?\}"), "i "),
    (
        re.compile(rf"\\(?:mathrm|operatorname|text) ?\{{ ?({'|'.join(FUNCTIONS)}) ?\}}"),
        r"\\\1 ",
    ),
    (
        re.compile(r"\\(?:mathrm|mbox|hbox|text(?:bf|rm|it|normal|sf|tt|up)?|unit|si) ?\{"),
        r"\\text{",
    ),
    (re.compile(r"\\text\{ ?\\(AA|Omega) ?\}"), r"\\\1 "),
    (re.compile(r"(?<=\d) ?(?:\\text\{ ?)?([apAP])\. ?[mM]\.? ?\}?"), r"\\text{ \1m}"),
    (re.compile(r"\{ ?\\rm ([^{}\\]*)\}"), r"\\text{\1}"),
    (re.compile(r"\\SI ?\{([^{}]*)\} ?\{"), r"\1\\text{ "),
    (re.compile(r"_\{ ?\\text\{([^{}]*)\} ?\}"), r"_{\1}"),
    (re.compile(r"\\([gl])eq?(?:slant|q)?(?![A-Za-z])|([<>])="), lambda m: _comparison(m)),
    (re.compile(r"\\([gl])t(?![A-Za-z])"), lambda m: "<" if m[1] == "l" else ">"),
    (re.compile(r"(?<![A-Za-z\\])d ?([a-z]) ?/ ?d ?([a-z])(?![A-Za-z(])"), r"\\frac{d\1}{d\2}"),
    (re.compile(r"\\neq(?![A-Za-z])|(?<![\d)])!=| !="), r"\\ne"),
    (re.compile(r"\\(?:approxeq|simeq|doteq)(?![A-Za-z])"), r"\\approx"),
    (re.compile(r"\^ ?(?:\\circ(?![A-Za-z])|\{ ?\\circ ?\})|\\degrees?(?![A-Za-z])"), r"^\\circ "),
    (re.compile(r"\\(?:varnothing|emptyset)(?![A-Za-z])|\\\{ ?\\\}"), r"\\emptyset "),
    (re.compile(r"\\text\{ ?(?:the )?empty set ?\}|\b(?:the )?empty set\b"), r"\\emptyset "),
    (
        re.compile(
            r"\\%|\\text\{ ?(?:per ?cent|pct\.?|\\?%) ?\}| ?\b(?:per ?cent|pct)\b(?! ?[a-z])"
        ),
        "%",
    ),
    (re.compile(r"(?<=\d) ?(?:x|\*) ?(?=10 ?\^)"), r"\\times "),
    (re.compile(r",? ?\\text\{ ?(?:and|or)\b ?([^{}]*)\}"), r", \1"),
    (re.compile(r",? ?(?<=[ \d)}\]])(?:and|or)(?= ) ?"), ", "),
    (
        re.compile(
            r"^(?:negative|minus|\\text\{ ?(?:negative|minus) ?\}) ?(?=[\d.]|\\frac|\\sqrt)"
        ),
        "-",
    ),
    (re.compile(r"\\\$|\$|[*`]{2,}"), ""),
]
_SPACES = re.compile(r"\s+")
_STYLED = re.compile(r"\\(text|math(?:bf|it|sf|tt|normal)|boldsymbol|bm|pmb) ?\{(.*)\}")


def clean(text: str) -> str:
    """The same answer in fewer spellings; linear in the length."""
    text = _SPACES.sub(" ", plain_characters(text)).strip()
    if in_words(opened(text)) is not None:  # three and a half
        return opened(text)
    text = _THOUSANDS.sub("", text)
    text = _BEFORE.sub(lambda m: f"{m[2]}\\text{{ {_CURRENCIES[m[1]]}}}", text)
    text = _BEHIND.sub(lambda m: f"\\text{{ {_CURRENCIES[m[1]]}}}", text)
    text = _SIGN.sub(lambda m: m[0] if m[0] == r"\$" else "", _CODES.sub("", text))
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    text = _SPACES.sub(" ", text).strip()
    text = text.strip('`"“”').rstrip(".,;:").strip()
    text = _unstyled(text)
    if len(text) > 1 and text[0] == "{" and text[-1] == "}" and not set(text[1:-1]) & set("{}"):
        text = text[1:-1].strip()
    return text


def squeezed(text: str) -> str:
    r"""Without spaces, \frac12 as \frac{1}{2} and x_{1} as x_1: for comparison as text."""
    text = re.sub(r"\\frac(\w)(\w)", r"\\frac{\1}{\2}", text.replace(" ", ""), flags=re.ASCII)
    return re.sub(r"([_^])\{(\w)\}", r"\1\2", text, flags=re.ASCII)


def _comparison(match: re.Match[str]) -> str:
    return r"\le " if match[1] == "l" or match[2] == "<" else r"\ge "


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
