"""What a check of ``gxpo verify`` says."""

from __future__ import annotations

from typing import NamedTuple

from gxpo.host import shortened, visible

OK, FAILED, UNTOLD = "ok", "FAILED", "not told"
LONGEST = 2000  # characters of a line


class Verdict(NamedTuple):
    """A line. state: OK, FAILED, or UNTOLD where it cannot be told here (``text`` says why)."""

    check: str
    state: str
    text: str

    def __str__(self) -> str:
        text = " ".join(shortened(visible(self.text), LONGEST, len).split())
        return f"{self.state:<9} {self.check:<14} {text}"


def verdict(check: str, wrong: list[str], fine: str) -> Verdict:
    """FAILED with the first of what is wrong, OK with ``fine`` where nothing is."""
    if not wrong:
        return Verdict(check, OK, fine)
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return Verdict(check, FAILED, f"{'; '.join(wrong[:3])}{more}")
