"""math-verify on one expression each, without its own search for an answer or its timers.

Only the grading worker imports this: sympy takes a second to load, and there is no bound on what
an expression can make it do.
"""

from __future__ import annotations

import logging
from typing import Any

from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
from math_verify import parse, verify
from math_verify.parser import LatexExtractionConfig

logging.disable(logging.CRITICAL)  # it warns that its timers are off

# units=False: gxpo.grading.units drops them, math-verify would read 3t as 3 tons.
_WHOLE_BOX = [
    LatexExtractionConfig(
        try_extract_without_anchor=False,
        boxed_match_priority=0,
        normalization_config=NormalizationConfig(
            basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="last"
        ),
    )
]


def symbolically_equal(gold: str, given: str) -> bool:
    """Whether two LaTeX expressions are equal: False where one cannot be parsed."""
    gold_parsed = _parse(gold)
    return bool(gold_parsed) and bool(
        verify(gold_parsed, _parse(given), timeout_seconds=None)  # type: ignore[arg-type]
    )


def _parse(text: str) -> list[Any]:
    # No fallback: math-verify's would take any number inside of what it cannot parse.
    return parse(
        f"\\boxed{{{text}}}",
        _WHOLE_BOX,
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,  # type: ignore[arg-type]
    )
