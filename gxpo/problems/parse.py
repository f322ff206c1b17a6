"""One line of a JSONL file as a problem: what no prompt, grader or result file could take is
refused with its line and id."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from gxpo.host import UserError
from gxpo.problems.problem import Problem

KEYS = ("id", "problem", "answer")
# What UTF-8 cannot hold (half of a pair), and control characters but white space.
_UNWRITABLE = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# JSON's own escapes that LaTeX written without doubled backslashes runs into.
_LATEX_ESCAPES = {"\b": r"\b, as in \boxed", "\f": r"\f, as in \frac"}


def parse_line(line: str, where: str) -> Problem:
    """The problem of a line. where: file and line number. Raises UserError."""
    try:
        row = json.loads(
            line,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique_keys,
        )
        texts = [_text(row[key]) for key in KEYS]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{where}: every line must be a JSON object with id, problem and answer, each a text "
            f"or a number ({_of(line)}{type(error).__name__}: {error})"
        ) from error
    for key, text in zip(KEYS, texts, strict=True):
        if reason := unwritable(text):
            raise UserError(f"{where}: {key} of the problem with the id {texts[0]!a} {reason}")
    return Problem(*texts)


def _text(value: Any) -> str:
    """Raises ValueError for what is neither a text nor a number: no answer could be equal to it."""
    text = str(value) if isinstance(value, str | int | float) else ""
    if not text.strip() or isinstance(value, bool):
        raise ValueError(f"{value!r} is no text")
    return text


def _refuse_constant(name: str) -> NoReturn:
    """Of NaN and Infinity, which are no JSON but Python's: as an answer they would be words."""
    raise ValueError(f"{name} is no number: put it in quotes if the text is meant")


def _finite(written: str) -> float:
    value = float(written)
    if not math.isfinite(value):
        raise ValueError(f"{written} is too large for a number: put it in quotes")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; the last of two answers must not win without a word."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return row


def _of(line: str) -> str:
    """Which problem it is, as far as a bad line tells."""
    try:
        row = json.loads(line)
        return f"id {row['id']!a}; " if isinstance(row["id"], str | int) else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def unwritable(text: str) -> str | None:
    """Why a text cannot be a prompt and stand in result files, in words that follow its name; or
    None."""
    found = _UNWRITABLE.search(text)
    if found is None:
        return None
    character = found[0]
    code = f"U+{ord(character):04X}"
    if ord(character) > 0x7F:  # no encoding has it, no tokenizer takes it
        return f"has half of a surrogate pair ({code}), as of an emoji cut in two: mend the text"
    escape = _LATEX_ESCAPES.get(character)
    hint = f" (JSON's {escape}: JSON wants backslashes doubled)" if escape else ""
    return f"has the control character {code}{hint}: mend the text"
