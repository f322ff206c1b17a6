"""How good GXPO's prediction is: the shipped rule against the real steps that it stands for."""

from gxpo.studies.surrogate.study import surrogate

__all__ = ["surrogate"]
