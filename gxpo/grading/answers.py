r"""Where a completion states its final answer: the text of it, not yet what it means.

Completions are untrusted and may be a megabyte on a line. Over a whole completion run only
``str.rfind`` and one scan of bounded length; regular expressions see bounded windows.
"""

from __future__ import annotations

import re

from gxpo.grading.rationals import NUMBER
from gxpo.grading.words import prose_changes_number

WINDOW = 10_000  # characters at the end in which "the answer is" and the last number are sought
LOOKED_AT = 200  # characters behind a number that may still change it
LONGEST = 5_000  # characters of an answer; no gold answer of the six suites has more than 300

_BOXES = ("\\boxed", "\\fbox")
_UNBRACED_BOX = re.compile(r"\s{0,3}([^\s${}\\,;]{1,100})")
_ANSWER_IS = re.compile(r"(?i:\banswer)[*_]{0,2}\s{0,3}(?:is\b|:|=)\s{0,3}:?[*_]{0,2}\s{0,3}")
_HEADING = re.compile(r"[ *_]{0,5}[A-Za-z][^\n]{0,1000}\n\s{0,1000}\S")  # and text below it
_SENTENCE_END = re.compile(r"\.\s+(?=[A-Z])")
_MATH = re.compile(r"\$(?:[^$\\]|\\.)*\$")
_ONLY_SEPARATORS = re.compile(r"(?:[\s.,;:*$]|\band\b|\bor\b)*")
_SIGNED = rf"-?\s?(?:{NUMBER})"
# A fraction is one number: "so 3/4" must not be read as 4.
_A_NUMBER = (
    rf"(?:(?:{_SIGNED}\s?)?\\[dtc]?frac\{{-?\d{{1,50}}\}}\{{-?\d{{1,50}}\}}"
    rf"|(?:\d{{1,50}}\s)?{_SIGNED}\s?/\s?\d{{1,50}}(?!\d)"
    rf"|{_SIGNED}(?:[eE][+-]?\d{{1,4}})?)(?:\s?\\?%|\sper\s?cent\b)?"
)
_MULTIPLIER = r"(?:[kKMB]|[bmt]n|\s?(?:hundred|thousand|dozen|(?:[mb]|tr)illion))\b"
_NUMBERS = re.compile(
    rf"(?<![\w)\]}}])(?:{_A_NUMBER})(?:{_MULTIPLIER})?|(?:{NUMBER})(?:{_MULTIPLIER})?", re.ASCII
)
# "18 dollars", "5, because", "6." but not "2 and 3", "5 million", "2 sin x", "2ab"
_NUMBER_THEN_PROSE = re.compile(
    rf"\$?\s?((?>{_A_NUMBER}))(?=\s*(?:$|[;!?)]|[:.](?!\d))|(?:,\s*|\s+)"
    r"(?!and\b|or\b|(?:[mb]|tr)illion|thousand|hundred|dozen|sin|cos|tan|log|ln|sqrt|pi|exp)"
    r"[A-Za-z]{2,}(?![\w+*/^=(\\]))",
    re.ASCII,
)
_MINUSES = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"))


def final_answer(completion: str) -> str | None:
    r"""The final answer as text, or None if there is none. The first of these that occurs decides:

    1. the last ``\boxed{...}`` or ``\fbox{...}``; one that is never closed is a cut completion
       and no answer, though an earlier box is whole
    2. what follows the last ``####`` (GSM8K's convention), unless it is a heading of Markdown:
       words with text below them, or with an "answer:" among them
    3. what follows the last "answer is" or "answer:"
    4. the last number

    After 2 and 3 stands prose, too: a number followed by words is that number, and otherwise the
    answer is the line up to the end of its sentence.
    """
    box = max(completion.rfind(name) for name in _BOXES)
    if box >= 0:
        return _boxed(completion, box)
    mark = completion.rfind("####")
    stated = completion[mark + 4 : mark + 4 + LONGEST]
    if mark >= 0 and not _is_heading(stated):
        return _stated(stated)
    window = completion[-WINDOW:]
    announced = [match.end() for match in _ANSWER_IS.finditer(window)]
    if announced:
        return _stated(window[announced[-1] :][:LONGEST])
    numbers = _NUMBERS.findall(window.translate(_MINUSES))
    return numbers[-1].strip() if numbers else None


def _is_heading(text: str) -> bool:
    line = text.lstrip().split("\n", 1)[0]
    return _HEADING.match(text) is not None or _ANSWER_IS.search(line) is not None


def _boxed(text: str, start: int) -> str | None:
    start += 6 if text.startswith("\\boxed", start) else 5
    opening = start
    while text[opening : opening + 1].isspace() and opening < start + 5:
        opening += 1
    if text[opening : opening + 1] != "{":  # \boxed 5
        match = _UNBRACED_BOX.match(text, start)
        return match[1] if match else None
    depth, i, end = 0, opening, min(len(text), opening + LONGEST)
    while i < end:
        if text[i] == "\\":  # \{ and \} are no grouping
            i += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[opening + 1 : i].strip() or None
        i += 1
    return None


def _stated(tail: str) -> str | None:
    tail = tail.strip().translate(_MINUSES)
    for opening, closing in (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)")):
        if tail.startswith(opening):
            return tail[2:].partition(closing)[0].strip() or None
    line = tail.split("\n", 1)[0]
    line = _SENTENCE_END.split(line, maxsplit=1)[0].strip()
    number = _NUMBER_THEN_PROSE.match(line)
    if number and not prose_changes_number(line[number.end(1) :][:LOOKED_AT]):
        return number[1].strip()
    if line.startswith("$") and not _ONLY_SEPARATORS.fullmatch(_MATH.sub(" ", line)):
        math = _MATH.match(line)  # $5$, because ...
        line = math[0] if math else line
    return line.strip("$ ") or None
