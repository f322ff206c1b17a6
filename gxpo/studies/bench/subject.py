"""What is measured: a policy, its rollout batch, and the trainers around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers.trainer_callback import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from gxpo.method import Method, PolicyBatch
from gxpo.policy.warmstart import tiny_model, tiny_tokenizer
from gxpo.problems import load_problems
from gxpo.training import MethodTrainer, TrainerBatch, parity


@dataclass(frozen=True)
class Subject:
    """A randomly initialised Qwen2 and the size of its rollout batch.

    completions: per step, one micro-batch, in groups of 8, each of about 13 + 20 tokens.
    rounds, steps: how much is timed, see ``gxpo.studies.bench.timing``.
    """

    name: str
    hidden_size: int
    layers: int
    completions: int
    rounds: int
    steps: int


# The demo's policy and rollout batch, about 2100 tokens; and a policy that no cache holds, on the
# same batch. A pass costs per parameter and token, a rule's own arithmetic per parameter only: a
# smaller batch would show it larger, a larger one (real ones hold 100,000 tokens and more) smaller.
TINY = Subject("tiny, 0.1 M", hidden_size=96, layers=1, completions=64, rounds=40, steps=3)
MEDIUM = Subject("Qwen2, 10.6 M", hidden_size=384, layers=6, completions=64, rounds=7, steps=3)
# Memory beyond GRPO's is parameter-sized whatever the batch is: a small one saves time.
MEMORY = replace(MEDIUM, completions=8)
# For --quick: the tiny policy alone, in its whole batch. A fair round of the larger one
# takes half a minute.
QUICK = (replace(TINY, rounds=9, steps=2),)
QUICK_MEMORY = replace(TINY, completions=16)
LORA = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")


def arguments(subject: Subject, folder: Path, steps: int, lora: bool = False) -> dict[str, Any]:
    """Arguments for ``GRPOTrainer`` or ``MethodTrainer``; the same weights at every call."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    problems = load_problems("synthetic/train", 64)
    return {
        "model": tiny_model("qwen2", tokenizer, subject.hidden_size, subject.layers),
        "processing_class": tokenizer,
        "reward_funcs": [parity],
        "peft_config": LORA if lora else None,
        "train_dataset": Dataset.from_list([{"prompt": p.problem} for p in problems]),
        "args": GRPOConfig(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=subject.completions,
            num_generations=8,
            max_completion_length=20,
            learning_rate=1e-4,
            loss_type="grpo",
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
            disable_tqdm=True,
            logging_steps=1,
            save_strategy="no",
        ),
    }


def silence(trainer: GRPOTrainer) -> GRPOTrainer:
    """The Trainer prints its logs unless told otherwise."""
    trainer.remove_callback(PrinterCallback)
    return trainer


class ReplayBatch(TrainerBatch):
    """The rollout batch of ``batch`` again, for a whole update outside of a training step: the
    first pass is a replay too, and ``close()`` takes the last step."""

    def __init__(self, batch: TrainerBatch):
        super().__init__(batch._trainer, batch._model, None)

    def close(self) -> None:
        self._perform_pending_step()


class Interlude(Method):
    """One GRPO update, so that Adam has its state; at the second, ``measure`` is called instead.

    Thus measurements see what a rule sees: prepared model and optimizer, a real rollout batch.
    """

    def __init__(self, measure: Callable[[TrainerBatch], None]):
        self._measure = measure
        self._updates = 0

    def update(self, batch: PolicyBatch) -> dict[str, float]:
        self._updates += 1
        if self._updates == 1:
            batch.backward()
            batch.step()
        else:
            assert isinstance(batch, TrainerBatch)
            self._measure(batch)
        return {}


def in_training(
    subject: Subject, folder: Path, measure: Callable[[TrainerBatch], None], lora: bool = False
) -> None:
    """Call ``measure`` once with a rollout batch of a training run."""
    trainer = MethodTrainer(method=Interlude(measure), **arguments(subject, folder, 2, lora))
    silence(trainer).train()
