"""What a problem is, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One problem: ``problem`` is the question, ``answer`` the gold answer, both plain text."""

    id: str
    problem: str
    answer: str
