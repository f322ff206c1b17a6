r"""Gold answers with one thing changed, so that they are wrong: a digit, a sign, a letter, an
operator, a bracket, a unit, or words behind them that make another answer.

Always the same changes of the same answer: they are drawn with the answer as the seed.
"""

import random
import re

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OPERATORS = {
    "+": ["-", r"\cdot "],
    "-": ["+", "/"],
    "/": ["+", r"\cdot "],
    "^": ["_", r"\cdot "],
    "=": ["<", "+"],
    "<": [">", "="],
    ">": ["<", "="],
    "!": ["", "^2"],
    "|": ["("],
    ":": [",", "/"],
    "'": [""],
    r"\cdot": ["+", "/"],
    r"\times": ["+", "/"],
    r"\frac": [r"\binom"],
    r"\binom": [r"\frac"],
    r"\sqrt": ["", r"\ln "],
    r"\cup": [r"\cap "],
    r"\pm": ["+", "-"],
    r"\le": [r"\ge ", "<"],
    r"\ge": [r"\le ", ">"],
    r"\sin": [r"\cos ", r"\sinh "],
    r"\cos": [r"\sin ", r"\sec "],
    r"\tan": [r"\cot "],
    r"\ln": [r"\log_2 ", r"\exp "],
    r"\log": [r"\ln ", r"\exp "],
    r"\pi": ["e", "3", r"\phi "],
    r"\lfloor": [r"\lceil "],
    r"\dot": [r"\ddot ", ""],
    r"\alpha": [r"\beta "],
    r"\lambda": [r"\mu "],
    r"\infty": ["0", r"-\infty "],
    "%": ["0%"],
    r"\circ": ["2"],
}
_BRACKETS = {"(": "[", "[": "(", ")": "]", "]": ")"}
_UNITS = (
    *("cm", "m", "km", "hours", "minutes", "seconds", "kg", "g", "dollars", "cents", "meters"),
    *("feet", "inches", "degrees", "liters"),
)
CHANGING = [
    *(r"\text{ or 18}", r"\text{ and 6}", r"\text{ or more}", r"\text{ remainder 3}", r"\text{k}"),
    *(r"\text{ million}", r"\text{ thousand}", r"\text{ squared}", r"\text{ to 9}", r"\text{M}"),
    *(r"\text{ hours 20 minutes}", r"\text{ dozen}", r"\text{ plus or minus 1}", r"\text{ halves}"),
    *(
        r"\text{ divided by 4}",
        r"\text{ times 2}",
        r"\text{ at least}",
        r"\text{bn}",
        r"\text{ mod 7}",
    ),
    *(
        r"\text{ and a half}",
        r"\text{ out of 50}",
        r"\text{ or so}",
        r"\ldots",
        r" \pm 1",
        "!",
        ":1",
    ),
]
_COMMAND = r"\\[A-Za-z]+"


def mutants(gold: str, each: int) -> list[tuple[str, str]]:
    """(kind, changed answer) pairs, at most ``each`` of a kind, none spelled as the gold answer."""
    draw = random.Random(f"grader mutations of {gold}")
    found: list[tuple[str, str]] = []
    for kind, change in _KINDS.items():
        changed = change(gold, draw)
        draw.shuffle(changed)
        found += [(kind, text) for text in dict.fromkeys(changed) if _differ(gold, text)][:each]
    return found


def _differ(gold: str, changed: str) -> bool:
    plain, other = (re.sub(r"\s|\\[,!;]", "", text).casefold() for text in (gold, changed))
    return bool(other) and (
        plain != other or gold.swapcase() == changed or _only_case(gold, changed)
    )


def _only_case(gold: str, changed: str) -> bool:
    return (
        len(gold) == len(changed) and sum(a != b for a, b in zip(gold, changed, strict=True)) == 1
    )


def _positions(pattern: str, text: str) -> list[tuple[int, int]]:
    """Where the pattern matches outside of commands' names."""
    commands = [match.span() for match in re.finditer(_COMMAND, text)]
    return [
        match.span()
        for match in re.finditer(pattern, text)
        if not any(start < match.end() and match.start() < end for start, end in commands)
    ]


def _put(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]


def _digit(gold: str, draw: random.Random) -> list[str]:
    return [
        _put(gold, span, draw.choice([d for d in "123456789" if d != gold[span[0]]]))
        for span in _positions(r"\d", gold)
    ]


def _digits(gold: str, draw: random.Random) -> list[str]:
    """One more digit, or one fewer."""
    more = [_put(gold, (end, end), draw.choice("123456789")) for _, end in _positions(r"\d", gold)]
    fewer = [_put(gold, span, "") for span in _positions(r"(?<=[1-9])\d|\d(?=[1-9])", gold)]
    return more + fewer


def _sign(gold: str, draw: random.Random) -> list[str]:
    flipped = [
        _put(gold, span, "-" if gold[span[0]] == "+" else "+") for span in _positions(r"[+-]", gold)
    ]
    behind = [_put(gold, (end, end), "-") for _, end in _positions(r"[=,(\[]|\{(?=\d)", gold)]
    return [*flipped, *behind, gold[1:] if gold.startswith("-") else "-" + gold]


def _letter(gold: str, draw: random.Random) -> list[str]:
    return [
        _put(gold, span, draw.choice([c for c in _LETTERS if c != gold[span[0]].lower()]))
        for span in _positions(r"[A-Za-z]", re.sub(r"\\begin\{\w+\}|\\end\{\w+\}", _blank, gold))
    ]


def _blank(match: re.Match) -> str:
    return " " * len(match[0])


def _case(gold: str, draw: random.Random) -> list[str]:
    if "\\text" in gold or re.search(r"[A-Za-z]{4}", re.sub(_COMMAND, "", gold)):
        return []  # of words the case does not matter
    spots = _positions(r"[A-Za-z]", re.sub(r"\\begin\{\w+\}|\\end\{\w+\}", _blank, gold))
    return [_put(gold, span, gold[span[0]].swapcase()) for span in spots]


def _operator(gold: str, draw: random.Random) -> list[str]:
    names = sorted(_OPERATORS, key=len, reverse=True)
    pattern = "|".join(
        re.escape(name) + (r"(?![A-Za-z])" if name[0] == "\\" else "") for name in names
    )
    return [
        _put(gold, match.span(), draw.choice(_OPERATORS[match[0]]))
        for match in re.finditer(pattern, gold)
    ]


def _bracket(gold: str, draw: random.Random) -> list[str]:
    """Of an interval or a tuple; round and square ones in an expression are the same."""
    if "," not in gold:
        return []
    return [_put(gold, span, _BRACKETS[gold[span[0]]]) for span in _positions(r"[()\[\]]", gold)]


def _unit(gold: str, draw: random.Random) -> list[str]:
    pattern = rf"(?<![A-Za-z])(?:{'|'.join(_UNITS)})(?![A-Za-z])"
    found = [
        _put(gold, span, other)
        for span in _positions(pattern, gold)
        if re.match(r".*[\d}] ?(?:\\(?:text|mathrm) ?\{ ?)?$", gold[: span[0]])
        for other in _UNITS
        if not {other, gold[slice(*span)]} <= {"m", "meters"}
    ]
    return found + [_put(gold, span, "€") for span in _positions(r"\\\$", gold)]


def _words(gold: str, draw: random.Random) -> list[str]:
    return [gold + words for words in CHANGING] if gold.isascii() else []


_KINDS = {
    "digit": _digit,
    "digits": _digits,
    "sign": _sign,
    "letter": _letter,
    "case": _case,
    "operator": _operator,
    "bracket": _bracket,
    "unit": _unit,
    "words": _words,
}
