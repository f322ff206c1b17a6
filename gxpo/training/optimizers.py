"""The optimizer of a cell, where it is another than TRL's own AdamW."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gxpo.host import UserError

HEADS = ("embed", "lm_head", "wte", "wpe")  # parts of names of what is no hidden matrix


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for matrices that are neither embedding nor head, AdamW for the rest, as one optimizer:
    one list of groups and one state, which snapshots, schedules and checkpoints see.

    Both are torch's own; Muon's updates are scaled to AdamW's size (``match_rms_adamw``), so that
    one learning rate serves both. Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon);
    the scale: arXiv 2502.16982, section 2.2.
    """

    def __init__(
        self,
        matrices: list[Tensor],
        decayed: list[Tensor],
        others: list[Tensor],
        lr: float,
        momentum: float,
        betas: tuple[float, float],
        weight_decay: float,
    ):
        """matrices: Muon's; decayed, others: AdamW's, with and without weight decay."""
        muon = torch.optim.Muon(
            matrices,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        self._parts: list[torch.optim.Optimizer] = [muon]
        rest = ((decayed, weight_decay), (others, 0.0))
        groups = [{"params": tensors, "weight_decay": decay} for tensors, decay in rest if tensors]
        if groups:  # adapters alone are all matrices
            self._parts.append(torch.optim.AdamW(groups, lr=lr, betas=betas, fused=True))
        self._sizes = [len(part.param_groups) for part in self._parts]
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Both parts work on this optimizer's groups and state."""
        start = 0
        for part, size in zip(self._parts, self._sizes, strict=True):
            part.param_groups = self.param_groups[start : start + size]
            part.state = self.state
            start += size

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()


def optimizer_arguments(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    """What a completed ``train.optimizer`` means to TRL's GRPOConfig; the rest is
    ``optimizer_factory``'s."""
    if optimizer["name"] != "adamw":
        return {"weight_decay": optimizer["weight_decay"]}
    beta1, beta2 = optimizer["betas"]
    return {"weight_decay": optimizer["weight_decay"], "adam_beta1": beta1, "adam_beta2": beta2}


def optimizer_factory(
    optimizer: Mapping[str, Any], learning_rate: float
) -> tuple[Any, dict[str, Any]] | None:
    """``optimizer_cls_and_kwargs`` of transformers' Trainer, which groups the parameters for a
    class and hands the model to a factory; None for TRL's own AdamW."""
    if optimizer["name"] == "adamw":
        return None
    if optimizer["name"] == "sgd":
        return torch.optim.SGD, {"lr": learning_rate, "momentum": optimizer["momentum"]}
    settings = {key: optimizer[key] for key in ("momentum", "betas", "weight_decay")}
    return (lambda: _muon), {"lr": learning_rate, **settings}


def _muon(model: nn.Module, **settings: Any) -> MuonWithAdamW:
    """Over a model's trainable parameters. Raises UserError where it is sharded, or has no hidden
    matrix to train."""
    matrices: list[Tensor] = []
    decayed: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if type(parameter.data) is not Tensor and hasattr(parameter, "device_mesh"):
            raise UserError("muon of sharded parameters is not supported: set parallel: ddp")
        if parameter.ndim == 2 and not any(part in name for part in HEADS):
            matrices.append(parameter)
        elif parameter.ndim >= 2:
            decayed.append(parameter)
        else:
            others.append(parameter)
    if not matrices:
        raise UserError("muon has no matrix to train: all are embeddings, heads or vectors")
    return MuonWithAdamW(matrices, decayed, others, **settings)
