"""Predicted theta_K against K real steps, both by the shipped rules, on any PolicyBatch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gxpo.catalog import load_method
from gxpo.host import UserError
from gxpo.method import ClosureBatch, PolicyBatch
from gxpo.studies.surrogate.problems import Problem

LINEAR = "linear"  # (K/2)(theta_2 - theta_0): the yardstick that needs no formula
PREDICTIONS: dict[str, dict[str, Any]] = {
    "gradient": {"retention": "gradient"},
    "update": {"retention": "update"},
    LINEAR: {"scale": "constant"},
}
# What a retention in update space is for: an optimizer whose step is not its gradient.
PREDICTED_UNDER = {"sgd": ("gradient", LINEAR), "adamw": ("gradient", "update", LINEAR)}
WHOLE = {"alpha": 1.0, "corrective": False, "gate": "never"}  # end the update at theta_K


@dataclass(frozen=True)
class Error:
    """One prediction of theta_K; norms are Euclidean over all trainable parameters.

    prediction: retention in ``gradient`` or ``update`` space, or ``linear``.
    absolute_error: ||predicted - real||, in units of the parameters.
    relative_error: the same over ||real - theta_0||.
    cosine: of predicted - theta_0 and real - theta_0.
    at_bound: share of the coordinates that moved whose scale is 1 or K/2 + 1 (to 1e-3), where the
        rule's clips, or delta, decide and not the formula.
    """

    prediction: str
    k: int
    absolute_error: float
    relative_error: float
    cosine: float
    at_bound: float


def prediction_errors(batch: PolicyBatch, k: int, predictions: Iterable[str]) -> list[Error]:
    """Every prediction from the batch's parameters and optimizer state, which are put back.

    Raises UserError where the gradient is zero or not finite, so that there is nothing to predict.
    """
    start = _flat(batch)
    real = _displacement(batch, start, "lookahead", k=k, old_logprobs="refresh")
    linear = _displacement(batch, start, "gxpo", k=k, constant_scale=k / 2, **PREDICTIONS[LINEAR])
    errors = []
    for name in predictions:
        moved = linear
        if name != LINEAR:
            moved = _displacement(batch, start, "gxpo", k=k, **PREDICTIONS[name])
        absolute = (moved - real).norm()
        errors.append(
            Error(
                name,
                k,
                absolute.item(),
                (absolute / real.norm()).item(),
                torch.nn.functional.cosine_similarity(moved, real, dim=0).item(),
                _share_at_bound(moved, linear / (k / 2), k),
            )
        )
    return errors


def sweep(
    batch: PolicyBatch,
    optimizer: torch.optim.Optimizer,
    kind: str,
    ks: Iterable[int],
    learning_rates: Iterable[float],
    advance: Callable[[], object],
) -> list[dict[str, Any]]:
    """A row per learning rate, K and prediction; the optimizer's learning rates are put back.

    kind: ``sgd`` or ``adamw``; it says which predictions make sense.
    advance: called after every learning rate, for a progress bar.
    """
    before = [group["lr"] for group in optimizer.param_groups]
    rows = []
    for lr in learning_rates:
        for group in optimizer.param_groups:
            group["lr"] = lr
        for k in ks:
            errors = prediction_errors(batch, k, PREDICTED_UNDER[kind])
            rows += [{"lr": lr, **asdict(error)} for error in errors]
        advance()
    for group, lr in zip(optimizer.param_groups, before, strict=True):
        group["lr"] = lr
    return rows


def sweep_problem(
    problem: Problem,
    kind: str,
    ks: Iterable[int],
    fractions: Iterable[float],
    advance: Callable[[], object] = lambda: None,
) -> list[dict[str, Any]]:
    """``sweep`` of a closed-form problem, its optimizer fresh. fractions: lr * h_max."""
    theta = problem.start.clone().requires_grad_()
    optimizer = make_optimizer(kind, [theta], 1.0)
    batch = ClosureBatch([theta], lambda: problem.loss(theta), optimizer)
    rates = [fraction / problem.curvature for fraction in fractions]
    rows = sweep(batch, optimizer, kind, ks, rates, advance)
    about = {"problem": problem.name, "optimizer": kind, "coupling": problem.coupling}
    return [{**about, **row, "lr_relative": row["lr"] * problem.curvature} for row in rows]


def make_optimizer(kind: str, parameters: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
    """Plain SGD, or AdamW as the suite trains with: default moments, no weight decay."""
    if kind == "sgd":
        return torch.optim.SGD(parameters, lr=lr)
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0)


def _displacement(batch: PolicyBatch, start: Tensor, rule: str, **options: Any) -> Tensor:
    """Where the rule goes from ``start``, a flat double vector; everything is put back."""
    origin = batch.snapshot()
    acted = load_method(rule, **WHOLE, **options).update(batch)["active"]
    moved = _flat(batch) - start
    batch.restore(origin)
    if not acted:
        raise UserError("the gradient of the batch is zero or not finite: nothing to extrapolate")
    return moved


def _flat(batch: PolicyBatch) -> Tensor:
    return torch.cat([p.detach().reshape(-1).double() for p in batch.parameters])


def _share_at_bound(predicted: Tensor, two_steps: Tensor, k: int) -> float:
    moved = two_steps != 0
    scale = predicted[moved] / two_steps[moved]
    at_one, at_top = (scale - 1).abs() < 1e-3, (scale - (k / 2 + 1)).abs() < 1e-3
    return (at_one | at_top).double().mean().item()
