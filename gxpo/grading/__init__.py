r"""Is a completion's final answer equal to the gold answer? One grader for training and evaluation.

Model output is untrusted text. Where the answer stands is found in this process (``answers``);
numbers, words and equal spellings are decided in it (``equality``, with ``rationals`` and
``units``), exactly and at once; anything else goes to a process of its own (``worker``,
``symbolic``) with hard limits (``limits``), where 9^9^9^9 may try.

What counts as equal, and what does not (docs/reference/grading.md says why; the examples are in
tests/support/grading_table.py):

- numbers: exactly; 0.5 = 1/2 = \frac12 = 5e-1, 1,234 = 1234, 3 1/2 = 7/2. A decimal of at least
  six places equals what it rounds: 0.333333 = 1/3, but 0.33 does not.
- percent: 50% = 0.5 and 50% = 50, as math-verify decides
- units, currency and degree signs are dropped, but two known units that differ are unequal
- x = 5 equals 5, not y = 5; f(x) = 2x equals 2x
- intervals and tuples: same brackets, same order; (1,2) is not [1,2] and not 1,2
- sets and bare lists: any order; a \pm b is a list of two
- words: without regard to case, never letter by letter; the choice (A) = A
- numbers in a base: 204_5 equals neither 204 nor 204_6
- expressions, matrices, equations, unions: math-verify
"""

from __future__ import annotations

from functools import lru_cache

from gxpo.grading.answers import final_answer
from gxpo.grading.equality import decided
from gxpo.grading.limits import equal_within_limits
from gxpo.grading.spelling import clean

__all__ = ["final_answer", "is_correct"]


@lru_cache(maxsize=2**12)
def is_correct(completion: str, answer: str) -> bool:
    """Whether the final answer in ``completion`` (see ``final_answer``) equals ``answer``.

    Never raises on any text; an answer that cannot be checked within the limits is wrong.
    Remembered: evaluation asks twice, for lm-eval's score and for the row of the sample.
    """
    given = final_answer(completion)
    return given is not None and _equal(answer, given)


@lru_cache(maxsize=2**14)
def _equal(answer: str, given: str) -> bool:
    """Remembered: a policy repeats itself, and a hanging answer costs its limit only once."""
    gold, given = clean(answer), clean(given)
    verdict = decided(gold, given)
    return equal_within_limits(gold, given) if verdict is None else verdict
