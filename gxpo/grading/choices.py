r"""Multiple choice: (C), C, \textbf{(C) }12, and which letter or which answer that is."""

from __future__ import annotations

import re

from gxpo.grading.words import changes_number

_LETTER = re.compile(r"\(?([A-Ja-j])[).:]*")
_LETTER_ASKED_FOR = re.compile(r"\(([A-Ja-j])\)")
_WITH_TEXT = (  # in parentheses or in a \text of its own, which a product would not have
    re.compile(r"\\text\{ ?\(?([A-J])\)?[.:)]? ?\}[.:)]? ?(?P<rest>.+)"),
    re.compile(r"\\text\{ ?\(([A-J])\)[.:]? (?P<rest>[^{}]+)\}"),
    re.compile(r"\(([A-J])\)[.:]? ?(?P<rest>.+)"),
    re.compile(r"([A-J])[.:)] ?(?P<rest>.+)"),
)
_ANOTHER = re.compile(r"\([A-J]\)|\b[B-HJ]\b|\\text\{ ?[A-J] ?\}")
_TEXT_COMMAND = re.compile(r"\\text\{([^{}\\]*)\}")


def opened(text: str) -> str:
    r"""``text`` with its \text{...} commands opened."""
    return _TEXT_COMMAND.sub(r"\1", text).strip()


def asks_for_letter(gold: str) -> str | None:
    """The letter, where the gold answer is a choice in parentheses."""
    match = _LETTER_ASKED_FOR.fullmatch(opened(gold))
    return match[1].upper() if match else None


def chosen(text: str) -> tuple[str, str] | None:
    """The letter of a choice, and the answer that stands behind it ("" if none does); None where
    the text is no choice, or of two."""
    if match := _LETTER.fullmatch(opened(text)):
        return match[1].upper(), ""
    for pattern in _WITH_TEXT:
        if match := pattern.fullmatch(text):
            rest = match["rest"].strip()
            if rest[0] in ",;/+-*^=!" or _ANOTHER.search(rest) or _joins(rest):
                return None
            return match[1], rest
    return None


def _joins(rest: str) -> bool:
    return bool(re.match(r"(?:or|and|nor|not)\b", opened(rest))) or (
        not re.search(r"\d", rest) and changes_number(opened(rest)) and len(rest.split()) > 4
    )
