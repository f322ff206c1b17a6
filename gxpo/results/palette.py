"""One look for a method label, the same in every figure and in the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# Okabe and Ito's palette: distinguishable with any colour vision (https://jfly.uni-koeln.de/color/)
COLOURS = ["#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442"]
DASHES = [(), (5, 2), (1.5, 1.5), (7, 2, 1.5, 2)]  # on and off, in line widths; () is solid
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]


class Style(NamedTuple):
    """How a label is drawn."""

    colour: str
    dashes: tuple[float, ...]
    marker: str


def styles(labels: Iterable[str]) -> dict[str, Style]:
    """Label -> style, by the order of the configuration; with more labels than colours, dashes and
    markers change with every round of the palette. Of 64 labels no two look the same."""
    return {
        label: Style(
            COLOURS[i % len(COLOURS)],
            DASHES[i // len(COLOURS) % len(DASHES)],
            MARKERS[(i + i // len(COLOURS)) % len(MARKERS)],
        )
        for i, label in enumerate(labels)
    }
