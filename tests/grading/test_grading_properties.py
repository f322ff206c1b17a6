"""What holds for every answer, not only for those in grading_table.py."""

from fractions import Fraction

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gxpo.grading import final_answer, is_correct
from gxpo.grading.equality import decided
from gxpo.grading.glyphs import plain_characters
from gxpo.grading.rationals import rational
from gxpo.grading.spelling import clean

INTEGERS = st.integers(-(10**9), 10**9)
FRACTIONS = st.builds(Fraction, INTEGERS, st.integers(1, 10**6))


@st.composite
def spellings(draw):
    """A fraction and two ways to write it."""
    value = draw(FRACTIONS)
    factor = draw(st.integers(1, 9))
    n, d = value.numerator, value.denominator
    sign = "-" if n < 0 else ""
    ways = [f"{n}/{d}", f"{sign}\\frac{{{abs(n)}}}{{{d}}}", f"{n * factor}/{d * factor}"]
    ways.append(f"{sign}\\dfrac{{{abs(n) * factor}}}{{{d * factor}}}")
    if d == 1:
        ways += [str(n), f"{n}.0", f"{n:,}", f"${n}$", f"\\text{{{n}}}", f" {n} ."]
    return value, draw(st.sampled_from(ways)), draw(st.sampled_from(ways))


@given(spellings())
def test_spellings_of_one_number_are_equal(case):
    value, gold, given_ = case
    assert is_correct(f"So it is \\boxed{{{given_}}}", gold), (value, gold, given_)


@given(FRACTIONS, FRACTIONS)
def test_other_fractions_are_not(gold, other):
    assume(gold != other)
    as_text = f"{other.numerator}/{other.denominator}"
    assert not is_correct(f"\\boxed{{{as_text}}}", f"{gold.numerator}/{gold.denominator}")


@given(st.decimals(-(10**6), 10**6, places=3))
def test_a_decimal_is_read_exactly(value):
    assert rational(f"{value:f}").value == Fraction(value)


@given(INTEGERS, INTEGERS)
def test_equal_answers_are_equal_both_ways(a, b):
    forms = [clean(str(a)), clean(f"\\frac{{{b}}}{{7}}"), clean(f"x = {a}"), clean(f"[{a},{b}]")]
    for gold in forms:
        assert decided(gold, gold) is True
        for given_ in forms:
            assert decided(gold, given_) == decided(given_, gold) or "x" in gold + given_


@settings(max_examples=300)
@example("\U0001d6a8 \U0001d6db")  # mathematical bold letters: Alpha, the partial sign
@given(st.text(max_size=200))
def test_any_text_has_a_verdict(text):
    """Against a number, so that nothing has to be computed."""
    answer = final_answer(text)
    assert answer is None or isinstance(answer, str)
    assert is_correct(text, "17") in (True, False)
    assert clean(clean(text)) == clean(text)


@given(st.text("0123456789.,/-\\{}frac %^*x()[]$", max_size=40))
def test_what_looks_like_a_number_is_one_or_none(text):
    found = rational(clean(text))
    assert found is None or isinstance(found.value, Fraction)


def test_a_character_made_plain_is_plain():
    characters = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x20000))]
    once = plain_characters("\n".join(characters))
    assert plain_characters(once) == once
