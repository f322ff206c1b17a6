"""A diagonal quadratic, on which the rules have closed forms."""

import torch

from gxpo import ClosureBatch

CURVATURE = torch.tensor([0.1, 0.5, 1.0, 1.7], dtype=torch.float64)

START = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)


def quadratic(lr=0.5, optimizer=torch.optim.SGD, max_grad_norm=None, curvature=CURVATURE):
    """A batch over L = 1/2 sum h theta^2, with its parameter."""
    theta = START.clone().requires_grad_()
    return theta, ClosureBatch(
        [theta],
        lambda: 0.5 * (curvature * theta**2).sum(),
        optimizer([theta], lr=lr),
        max_grad_norm,
    )


def after(method, updates=1, **batch_options):
    theta, batch = quadratic(**batch_options)
    for _ in range(updates):
        method.update(batch)
    return theta.detach(), batch
