"""The formulas of GXPO's variants, written down once more, and a problem to compare on."""

import math

import torch

from gxpo import ClosureBatch

START = [1.0, -2.0, 3.0, 0.5, 1e-7]


LR, DECAY, K, ALPHA = 0.05, 0.1, 5, 0.5


def hessian():
    """Coupled, positive definite, curvatures from 0.1 to 3."""
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]
    rotation = rotation.double()
    return rotation @ torch.diag(torch.tensor([0.1, 0.5, 1.0, 3.0]).double()) @ rotation.T


def problem(weight_decay=DECAY, max_grad_norm=1.0):
    """Clipped AdamW with weight decay over two tensors: four coordinates are coupled, the gradient
    of the last is tiny beside its neighbour's."""
    a = torch.tensor(START[:3], dtype=torch.float64, requires_grad=True)
    b = torch.tensor(START[3:], dtype=torch.float64, requires_grad=True)
    h = hessian()

    def loss():
        theta = torch.cat([a, b[:1]])
        quadratic = 0.5 * theta @ h @ theta + 0.1 * (theta**3).sum()
        return quadratic + 1e-6 * torch.sin(40 * b[1])

    optimizer = torch.optim.AdamW([a, b], lr=LR, weight_decay=weight_decay)
    return ClosureBatch([a, b], loss, optimizer, max_grad_norm)


def flat(batch):
    return torch.cat([p.detach().reshape(-1) for p in batch.parameters])


def reference(batch, *, small_gradient, retention, optimizer_state, constant=None):
    """One GXPO update, written down once more: whole vectors, no buffers saved."""
    theta_0, before = flat(batch), batch.snapshot(parameters=False)
    batch.backward()
    g_0 = torch.cat([p.grad for p in batch.parameters])
    batch.step()
    theta_1 = flat(batch)
    batch.backward()
    g_1 = torch.cat([p.grad for p in batch.parameters])
    batch.step()
    theta_2 = flat(batch)
    u_0, u_1 = g_0, g_1
    if retention == "update":
        u_0 = ((1 - LR * DECAY) * theta_0 - theta_1) / LR
        u_1 = ((1 - LR * DECAY) * theta_1 - theta_2) / LR
    scales = []
    for piece in (slice(0, 3), slice(3, 5)):
        rms = u_0[piece].square().mean().sqrt().item()
        for x, y in zip(u_0[piece].tolist(), u_1[piece].tolist(), strict=True):
            if small_gradient == "rms" and abs(x) <= 1e-3 * rms:
                scales.append(1.0)
                continue
            floor = 1e-8 if small_gradient == "floor" else 0.0
            r = min(max(y / (math.copysign(1, x) * max(abs(x), floor)), -2.0), 3.0)
            s_2 = 1 + r
            s = sum(r**n for n in range(K)) / s_2 if abs(s_2) > 1e-8 else 1.0
            scales.append(min(max(s, 1.0), K / 2 + 1))
    scale = torch.tensor(scales, dtype=torch.float64) if constant is None else constant
    target = theta_0 + ALPHA * scale * (theta_2 - theta_0)
    with torch.no_grad():
        batch.parameters[0].copy_(target[:3])
        batch.parameters[1].copy_(target[3:])
    if optimizer_state == "restore":
        batch.restore(before)
    batch.backward()
    batch.step()
    return scales
