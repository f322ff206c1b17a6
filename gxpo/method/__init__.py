"""The method interface: everything a file in ``methods/`` may import besides torch."""

from gxpo.method.base import Cost, GradientStats, Method, PolicyBatch, Snapshot
from gxpo.method.gates import EmaGate, Gate, NeverGate, WindowGate

__all__ = [
    "Cost",
    "EmaGate",
    "Gate",
    "GradientStats",
    "Method",
    "NeverGate",
    "PolicyBatch",
    "Snapshot",
    "WindowGate",
]
