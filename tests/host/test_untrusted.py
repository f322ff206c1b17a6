"""What a model wrote reaches a terminal as text, and is cut where it is long."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gxpo.host import shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),  # the same in one character
        ("over\rwritten\b", "over\\rwritten\\x08"),
        ("\u202eredro", "\\u202eredro"),  # read from right to left
        ("a\u2028b\x00", "a\\u2028b\\x00"),
        ("\ud800", "\\ud800"),
        ("two\nlines, é, 数", "two\nlines, é, 数"),
        ("a\tb", "a   b"),
    ],
)
def test_what_a_terminal_would_obey_is_made_visible(text, shown):
    assert visible(text) == shown


@given(st.text(st.characters(), max_size=50))
def test_no_text_keeps_a_control_character(text):
    shown = visible(text)
    assert {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"} <= {"Cc"}
    assert {c for c in shown if unicodedata.category(c) == "Cc"} <= {"\n"}
    shown.encode()


@given(st.text(max_size=400), st.integers(60, 300))
def test_a_long_text_keeps_its_ends_and_says_how_much_is_left_out(text, longest):
    def size(part):
        return len(part.encode("utf-8", "replace"))

    cut = shortened(text, longest, size)
    assert size(cut) <= longest
    if size(text) <= longest:
        assert cut == text
    else:
        head, _, rest = cut.partition("\n[... ")
        number, _, tail = rest.partition(" characters are left out ...]\n")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert len(head) + int(number) + len(tail) == len(text)
