"""Global gradient norms, also of sharded parameters."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def global_grad_norm(parameters: Iterable[Tensor]) -> Tensor:
    """L2 norm over all gradients, a 0-d tensor; 0 where there is none.

    A sum over DTensor shards is a local partial: ``full_tensor()`` is what reduces it.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(grads)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
