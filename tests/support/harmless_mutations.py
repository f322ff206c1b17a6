r"""Changes of gold answers that change no meaning, each with the reason, and faults that are known."""

HARMLESS: dict[tuple[str, str], str] = {}
KNOWN_FAULTS: dict[tuple[str, str], str] = {}
KNOWN_REFUSALS: dict[tuple[str, str], str] = {}


def reason_why_equal(gold: str, mutant: str) -> str | None:
    return HARMLESS.get((gold, mutant))
