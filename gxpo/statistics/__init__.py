"""The estimates of the comparison. The training seed is the unit of inference."""

from gxpo.statistics.intervals import Estimate, seed_interval

__all__ = ["Estimate", "seed_interval"]
