"""What a check of ``gxpo.doctor`` says."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """A line of the report. level: a problem stops a run, or part of it; a warning may.
    text: what is so, and unless it is ok what to do about it."""

    level: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.level:<8} {self.subject:<12} {self.text}"
