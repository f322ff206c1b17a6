r"""Changes of gold answers that change no meaning, each with the reason, and faults that are known.

A rule is (reason, pattern, replacement): answers that are the same text after it mean the same.
``HARMLESS`` names single changes. ``KNOWN_FAULTS`` and ``KNOWN_REFUSALS`` are faults, and counted.
"""

import re

from support.mutations import CHANGING

_RULES = [
    ("0 has no sign", r"(?<![\d.}\w])[+-] ?(?=0(?![\d.]))", ""),
    ("0 times anything is 0", rf"(?<![\d.])0(?:{'|'.join(map(re.escape, CHANGING))})$", "0"),
    ("zeros at the end of a decimal", r"(\.\d*?)0+(?!\d)", r"\1"),
    ("e or E, of a power of ten", r"(?<=\d)E(?=[-\d])", "e"),
]
_OF_CHOICES = "the letter is what a choice asks for, whatever is said of it"
_CHOICE = re.compile(r"\\text(?:bf)?\{ ?\(?([A-J])\)? ?\}|\(([A-J])\)")

HARMLESS: dict[tuple[str, str], str] = {
    ("0.333333", r"0.333333\ldots"): "1/3, which six places stand for",
    (r"\cos\frac{2\pi}{7}", r"\cos\frac{2\pi}{-7}"): "the cosine is even",
    (r"\cos\frac{2\pi}{7}", r"\cos\frac{-2\pi}{7}"): "the cosine is even",
    (r"\lceil \log_2 n \rceil", r"\lceil \log_21 n \rceil"): "1 n to the base 2, as TeX sets it",
    ("12:05", "12:5"): "no other time of the day is written so",
    ("1A_{16}", "1a_{16}"): "digits of base sixteen, in both cases",
}
KNOWN_FAULTS: dict[tuple[str, str], str] = {}
KNOWN_REFUSALS: dict[tuple[str, str], str] = {}


def reason_why_equal(gold: str, mutant: str) -> str | None:
    """Why a changed answer means the same, or None where it does not."""
    if (gold, mutant) in HARMLESS:
        return HARMLESS[gold, mutant]
    if (asked := _CHOICE.fullmatch(gold)) and not re.search(r"\b(?:or|and)\b", mutant):
        letter = asked[1] or asked[2]
        said = mutant.removeprefix(gold)
        if said != mutant or mutant.upper() == f"({letter})":
            return _OF_CHOICES
    for reason, pattern, replacement in _RULES:
        same = {re.sub(pattern, replacement, text).replace(" ", "") for text in (gold, mutant)}
        if len(same) == 1:
            return reason
    return None
