"""Losses whose curvature is known: where extrapolation should be exact, and where it cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

DIMENSION = 8
ANGLE = 0.3  # largest rotation angle of the coupled problems, radians


@dataclass(frozen=True)
class Problem:
    """A smooth loss of one vector, in double precision.

    start: theta_0, shape (DIMENSION,).
    loss: of such a vector, a scalar.
    curvature: h_max, the Hessian's largest eigenvalue (an upper bound where it varies); learning
        rates are given as fractions of 1/h_max.
    coupling: largest rotation angle between the Hessian's eigenvectors and the coordinates,
        radians; NaN where that says nothing.
    """

    name: str
    start: Tensor
    loss: Callable[[Tensor], Tensor]
    curvature: float
    coupling: float = math.nan


def quadratic(name: str, condition: float, angle: float) -> Problem:
    """0.5 theta' H theta with eigenvalues from 1 down to 1/condition on a geometric grid, whose
    eigenvectors are the coordinate axes rotated by ``angle`` at most."""
    h = _curvatures(condition)
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(DIMENSION, DIMENSION, generator=generator, dtype=torch.float64)
    turn = random - random.T
    turn /= torch.linalg.matrix_norm(turn, 2)  # antisymmetric: its norm is the largest angle
    axes = torch.linalg.matrix_exp(angle * turn)
    hessian = axes @ torch.diag(h) @ axes.T if angle else torch.diag(h)
    return Problem(name, _start(), lambda theta: 0.5 * theta @ hessian @ theta, 1.0, angle)


def separable() -> Problem:
    """sum_i h_i log cosh theta_i: no coupling, curvature h_i at 0 that falls off to 0."""
    h = _curvatures(10.0)

    def loss(theta: Tensor) -> Tensor:
        return (h * (torch.nn.functional.softplus(2 * theta) - theta)).sum()

    return Problem("separable, not quadratic", _start(), loss, 1.0)


def logistic(examples: int = 200) -> Problem:
    """Logistic regression on labels of a random linear model with noise, mean loss."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(examples, DIMENSION, generator=generator, dtype=torch.float64)
    truth = torch.randn(DIMENSION, generator=generator, dtype=torch.float64)
    noise = torch.randn(examples, generator=generator, dtype=torch.float64)
    sign = torch.sign(x @ truth + noise)

    def loss(theta: Tensor) -> Tensor:
        return torch.nn.functional.softplus(-sign * (x @ theta)).mean()

    bound = torch.linalg.matrix_norm(x, 2).item() ** 2 / (4 * examples)
    return Problem("logistic regression", _start(), loss, bound)


def problems() -> list[Problem]:
    """From the exact case to coupled and curved ones."""
    return [
        quadratic("diagonal quadratic", 10.0, 0.0),
        quadratic("diagonal, condition 1e4", 1e4, 0.0),
        quadratic("rotated quadratic", 10.0, ANGLE),
        quadratic("rotated, condition 1e4", 1e4, ANGLE),
        separable(),
        logistic(),
    ]


def _curvatures(condition: float) -> Tensor:
    return torch.logspace(0, -math.log10(condition), DIMENSION, dtype=torch.float64)


def _start() -> Tensor:
    """Sizes from 0.5 to 2, signs mixed: no coordinate begins where its gradient vanishes."""
    generator = torch.Generator().manual_seed(2)
    size = 0.5 + 1.5 * torch.rand(DIMENSION, generator=generator, dtype=torch.float64)
    return size * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(DIMENSION // 2)
