"""The method interface: everything a file in ``methods/`` may import besides torch."""

from gxpo.method.base import Cost, GradientStats, Method, PolicyBatch, Snapshot
from gxpo.method.closure import ClosureBatch
from gxpo.method.coordinates import Bucket, Sums, buckets, copy_of, mean_squares
from gxpo.method.gates import EmaGate, Gate, NeverGate, WindowGate, make_gate
from gxpo.method.gradients import global_grad_norm
from gxpo.method.lookahead import lookahead

__all__ = [
    "Bucket",
    "ClosureBatch",
    "Cost",
    "EmaGate",
    "Gate",
    "GradientStats",
    "Method",
    "NeverGate",
    "PolicyBatch",
    "Snapshot",
    "Sums",
    "WindowGate",
    "buckets",
    "copy_of",
    "global_grad_norm",
    "lookahead",
    "make_gate",
    "mean_squares",
]
