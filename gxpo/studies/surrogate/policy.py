"""The same measurement on a language model's GRPO loss, inside the trainer that trains it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.trainer_callback import PrinterCallback

from gxpo.cells import Cell
from gxpo.method import Method, PolicyBatch
from gxpo.policy import sample_plainly, stop_tokens
from gxpo.policy.loading import load_model, load_tokenizer
from gxpo.preparation import training_problems
from gxpo.studies.surrogate.measure import make_optimizer, sweep
from gxpo.training import MethodTrainer, reward_functions
from gxpo.training.settings import grpo_config, prompt_dataset

WARM_STEPS = 10  # as many gradients as Adam's first moment remembers at beta 0.9


class Probe(Method):
    """Trains with GRPO and, on the batches whose number is in ``at``, measures first.

    at: batch number from 1 on -> what the measurement is called.
    measure: of a batch and such a name; leaves parameters and optimizer as they were.
    """

    def __init__(self, at: dict[int, str], measure: Callable[[PolicyBatch, str], None]):
        self.at = at
        self.measure = measure
        self.seen = 0

    def update(self, batch: PolicyBatch) -> dict[str, float]:
        self.seen += 1
        if self.seen in self.at:
            self.measure(batch, self.at[self.seen])
        batch.backward()
        batch.step()
        return {}


def sweep_policy(
    cell: Cell,
    ks: list[int],
    multiples: list[float],
    advance: Callable[[], object] = lambda: None,
) -> list[dict[str, Any]]:
    """Errors on one rollout batch of the cell's policy, all its parameters trained.

    In double precision (what the architecture does in single, such as its norms, stays so): in
    single, the rounding of the parameters hides the orders at small learning rates.

    Optimizers: ``sgd``; ``adamw``, its moments still empty; ``adamw, warm``, its moments those
    after WARM_STEPS GRPO steps on other batches, as in training. The first two see the run's first
    batch, the last a later one. Gradients are clipped to the config's max_grad_norm.

    multiples: learning rates over their unit, the column ``lr_relative``. The unit is the config's
        learning rate; for SGD the rate at which its first step is as long as that of AdamW.
    """
    rows: list[dict[str, Any]] = []
    for kind, at in (("sgd", {1: "sgd"}), ("adamw", {1: "adamw", WARM_STEPS + 1: "adamw, warm"})):
        rows += _run(cell, kind, at, ks, multiples, advance)
    return rows


def _run(
    cell: Cell,
    kind: str,
    at: dict[int, str],
    ks: list[int],
    multiples: list[float],
    advance: Callable[[], object],
) -> list[dict[str, Any]]:
    path, revision = cell.model_path, cell.model_spec.get("revision")
    model, tokenizer = load_model(path, revision=revision).double(), load_tokenizer(path, revision)
    stops = stop_tokens(path, revision, tokenizer, cell.model_spec["chat"])
    sample_plainly(model, tokenizer, stops)
    usual = cell.train["learning_rate"]
    optimizer = make_optimizer(kind, model.parameters(), usual)
    rows: list[dict[str, Any]] = []

    def measure(batch: PolicyBatch, name: str) -> None:
        unit = _as_long_a_step(batch, cell) if kind == "sgd" else usual
        rates = [unit * multiple for multiple in multiples]
        for row in sweep(batch, optimizer, kind, ks, rates, advance):
            about = {"problem": f"policy {cell.model}", "optimizer": name}
            rows.append({**about, **row, "lr_relative": row["lr"] / unit})

    spec = {**cell.model_spec, "dtype": "float32"}  # no autocast
    short = replace(cell, model_spec=spec, train={**cell.train, "steps": max(at)})
    with tempfile.TemporaryDirectory() as scratch:
        trainer = MethodTrainer(
            method=Probe(at, measure),
            model=model,
            processing_class=tokenizer,
            reward_funcs=reward_functions(cell.train["reward"], cell.train["format_reward"]),
            args=grpo_config(short, Path(scratch), list(stops)),
            train_dataset=prompt_dataset(short, training_problems(cell)[0]),
            optimizers=(optimizer, None),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return rows


def _as_long_a_step(batch: PolicyBatch, cell: Cell) -> float:
    """SGD's learning rate whose first step is as long as AdamW's, lr sqrt(coordinates)."""
    norm = batch.backward().grad_norm
    clipped = min(norm, cell.train["max_grad_norm"]) or 1.0  # a zero gradient is refused later
    coordinates = sum(p.numel() for p in batch.parameters)
    return cell.train["learning_rate"] * coordinates**0.5 / clipped
