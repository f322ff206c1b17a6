"""Fair, reproducible comparison of policy-update rules for RL on language models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gxpo.catalog.methods import load_method
    from gxpo.method.closure import ClosureBatch
    from gxpo.training.trainer import MethodTrainer

__version__ = "0.1.0"
__all__ = ["ClosureBatch", "MethodTrainer", "load_method"]

# Imported when first asked for: torch takes three seconds, trl ten, and most commands need neither.
_HOMES = {
    "ClosureBatch": "gxpo.method.closure",
    "MethodTrainer": "gxpo.training.trainer",
    "load_method": "gxpo.catalog.methods",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gxpo' has no attribute {name!r}")
