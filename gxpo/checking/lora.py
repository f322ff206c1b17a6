"""LoRA targets that no module of a model has: peft adapts those that match, and says nothing of the
others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gxpo.host import UserError


def unmatched(targets: Sequence[str], modules: Iterable[str]) -> list[str]:
    """The targets that name no module: its whole name, or the end of it after a point."""
    names = list(modules)
    return [t for t in targets if not any(n == t or n.endswith(f".{t}") for n in names)]


def refuse_unmatched(targets: Sequence[str], modules: Iterable[str]) -> None:
    """Raise UserError where one of the targets names no module. modules: full names."""
    names = list(modules)
    missing = unmatched(targets, names)
    if missing:
        ends = {name.rpartition(".")[2] for name in names}
        known = sorted(end for end in ends if end and not end.isdigit())
        raise UserError(
            f"lora.targets: no module is called {missing[0]!r}: the model has {', '.join(known)}"
        )
