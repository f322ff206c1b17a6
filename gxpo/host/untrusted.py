"""Text that a model wrote: made safe for a terminal, and short."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

# Controls (escape sequences among them), invisible formats (which can reverse what is read),
# separators of lines and paragraphs, lone surrogates, characters without a meaning.
UNSAFE = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")


def visible(text: str) -> str:
    """The text with every character that a terminal would obey, or not show, as its escape
    (``\\\\x1b``); line feeds stay, tabs become spaces."""
    return "".join(map(_visible, text.expandtabs(4)))


def _visible(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in UNSAFE:
        return character
    return character.encode("unicode_escape").decode("ascii")


def shortened(text: str, longest: int, size: Callable[[str], int] = len) -> str:
    """The text, or its beginning and its end (where the answer stands) around a mark that says how
    much is left out, so that ``size`` of it is at most ``longest``."""
    if size(text) <= longest:
        return text
    kept = min(longest, len(text) - 1)
    while (now := size(cut := _cut(text, kept))) > longest and kept:
        kept = min(kept - 1, kept * longest // now)
    return cut


def _cut(text: str, kept: int) -> str:
    tail = kept // 2
    mark = f"\n[... {len(text) - kept} characters are left out ...]\n"
    return text[: kept - tail] + mark + text[len(text) - tail :]
