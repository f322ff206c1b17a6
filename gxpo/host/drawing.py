"""Figures as they are published: drawn to files, in matplotlib's own style, whatever the user's
``matplotlibrc`` or notebook says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Draw without a screen and with matplotlib's defaults; a caller's style is put back."""
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield
