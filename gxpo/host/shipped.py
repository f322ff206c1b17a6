"""Where the files that come with the suite are: rules, configurations, registries, the workflow.

In a clone (and its editable installation) they are the repository's own folders, so that an edit
takes effect; a wheel carries copies of them in ``gxpo/shipped`` (``hatch_build.py``).
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
CARRIED = _PACKAGE / "shipped"
REPOSITORY = None if CARRIED.is_dir() else _PACKAGE.parent
"""The clone that the suite runs from; None where it was installed from a wheel."""


def shipped(name: str) -> Path:
    """A file or folder by its path in the repository: ``methods``, ``config/models.yaml``."""
    return (REPOSITORY or CARRIED) / name
