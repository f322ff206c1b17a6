"""Run any ``gxpo.method.Method`` inside TRL's GRPOTrainer.

TRL's own ``training_step`` runs every micro-batch as it is. When the last one of a rollout batch
is done, the method takes over: its first ``backward()`` claims the gradient that is already in
``.grad``; later ones replay the cached micro-batches; its last ``step()`` is left pending, so that
the Trainer itself clips, steps, schedules, logs and calls callbacks, exactly once. Hence GRPO
through the interface is bit-identical to stock TRL.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback
from trl import GRPOTrainer

from gxpo.cells import checkpoints
from gxpo.host import UserError, environment
from gxpo.method import Cost, GradientStats, Method, global_grad_norm
from gxpo.training.batch import TrainerBatch
from gxpo.training.clock import Clock
from gxpo.training.rollouts import LogprobGap, Rollouts, logprob_gap
from gxpo.training.unsupported import refuse_unsupported

HARNESS_STATE = "harness_state.json"


class MethodTrainer(GRPOTrainer):
    """``trl.GRPOTrainer`` with the update rule ``method``; all other arguments are TRL's.

    method: any ``gxpo.method.Method``, for example ``gxpo.load_method("gxpo", k=5)``.
    After (or during) training, ``cost`` holds the counted backward passes, optimizer steps and
    tokens of all processes, ``clock`` the training seconds, ``method_metrics`` the diagnostics
    of the latest update, ``grad_norm`` the norm of its last step's gradient before clipping.

    Raises UserError where a replayed pass would not be the gradient of the same loss: DeepSpeed,
    fp16 gradient scaling, dropout in the policy, TRL's adaptive entropy bonus; and where the
    environment puts another engine, or several GPUs, under one process (gxpo.host.environment).
    """

    def __init__(self, *args: Any, method: Method, **kwargs: Any):
        self.method = method
        self.cost = Cost()
        self.rollout_tokens = 0
        self.method_metrics: dict[str, float] = {}
        self.grad_norm = 0.0
        self.latest_rollouts: Rollouts
        self.logprob_gap: LogprobGap | None = None  # of the latest rollouts; None without vLLM
        self._replaying = False
        self._micro_batches: list[dict[str, Any]] = []
        self._micro_losses: list[Tensor] = []
        self._num_items: Any = None
        environment.refuse_engines()
        super().__init__(*args, **kwargs)
        refuse_unsupported(self)
        self.clock = Clock(self.accelerator.device)
        self.add_callback(_StepClock(self.clock))
        self._token_counts = torch.zeros(3, dtype=torch.int64, device=self.accelerator.device)

    @property
    def trainable_parameters(self) -> list[Tensor]:
        return [p for p in self.model.parameters() if p.requires_grad]

    # -- TRL hooks ---------------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        if not self.model.training:  # TRL's own evaluation is not training cost
            return super()._generate_and_score_completions(inputs)
        with self.clock.measure("rollout"):
            output = super()._generate_and_score_completions(inputs)
        self._token_counts[2] += output["completion_mask"].sum()
        self.latest_rollouts = Rollouts(inputs, output["completion_ids"], output["completion_mask"])
        return output

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        if self._replaying:
            return generation_batch
        inputs = super()._prepare_inputs(generation_batch)
        if self.model.training:
            self._micro_batches.append(dict(inputs))
        return inputs

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        output = super()._get_per_token_logps_and_entropies(
            model, input_ids, attention_mask, *args, **kwargs
        )
        if not self.model.training:
            return output
        tokens = attention_mask.sum()
        self._token_counts[0] += tokens
        if torch.is_grad_enabled():
            self._token_counts[1] += tokens
            # theta_0's log-probs, for free: what a later pass with kept old log-probs needs
            if not self._replaying:
                self._micro_batches[-1].setdefault("old_per_token_logps", output[0].detach())
        return output

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._micro_losses.append(loss)
        if self.accelerator.sync_gradients:
            self._num_items = num_items_in_batch
            self._update(model)
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """Called before the last step of an update: what the rule has written into ``.grad`` must
        be finite too. After an earlier step, the next gradient shows it."""
        norm = super()._get_grad_norm(model, grad_norm)
        if not math.isfinite(float(norm)):
            raise FloatingPointError(
                f"gradient norm is {float(norm)} as the rule left it: no step was taken"
            )
        return norm

    # -- the update rule ---------------------------------------------------------------------

    def _update(self, model: Any) -> None:
        self.cost.backward_passes += 1
        entropies = self._metrics["train"]["entropy"][-len(self._micro_batches) :]
        batch = TrainerBatch(self, model, self._gradient_stats(self._micro_losses, entropies))
        self.method_metrics = self.method.update(batch)
        batch.close()
        self.grad_norm = batch.last_norm  # TRL's is of a step that is left to it, else 0
        if self.use_vllm:
            self.logprob_gap = logprob_gap(self._micro_batches, self.accelerator)
        self._micro_batches, self._micro_losses = [], []

    def replay(self, model: Any, refresh_old_logprobs: bool) -> GradientStats:
        """One more gradient of the cached micro-batches, at the current parameters.

        ``Trainer.training_step`` and not TRL's, which would advance its generation cycle.
        """
        metrics = self._metrics["train"]
        scratch: dict[str, list[float]] = defaultdict(list)
        self._metrics["train"] = scratch
        self._replaying = True
        losses = []
        last = len(self._micro_batches) - 1
        for i, micro_batch in enumerate(self._micro_batches):
            inputs = dict(micro_batch)
            if refresh_old_logprobs:
                del inputs["old_per_token_logps"]  # TRL then detaches the forward's own: ratio 1
            self.accelerator.gradient_state._set_sync_gradients(i == last)
            no_sync = contextlib.nullcontext() if i == last else self.accelerator.no_sync(model)
            with no_sync:
                losses.append(Trainer.training_step(self, model, inputs, self._num_items))
        self._replaying = False
        self._metrics["train"] = metrics
        self.cost.backward_passes += 1
        return self._gradient_stats(losses, scratch["entropy"])

    def _gradient_stats(self, losses: list[Tensor], entropies: list[float]) -> GradientStats:
        """The norm is that of the whole gradient on every process already; reducing it too makes
        its bits the same everywhere, so that gates cannot disagree. One host synchronisation."""
        norm = global_grad_norm(self.trainable_parameters)
        stats = torch.stack([torch.stack(losses).sum().to(norm), norm])
        loss_value, norm_value = self.accelerator.reduce(stats, reduction="mean").tolist()
        return GradientStats(loss_value, norm_value, sum(entropies) / len(entropies))

    def reduce_counts(self) -> None:
        """Add the tokens counted on every process since the last call to ``cost``."""
        counts = self.accelerator.reduce(self._token_counts.clone(), reduction="sum").tolist()
        self._token_counts.zero_()
        self.cost.forward_tokens += counts[0]
        self.cost.backward_tokens += counts[1]
        self.rollout_tokens += counts[2]

    # -- exact resume ------------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.reduce_counts()
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            harness = {
                "method": self.method.state_dict(),
                "cost": asdict(self.cost),
                "rollout_tokens": self.rollout_tokens,
                "seconds": dict(self.clock.seconds),
                "processes": self.accelerator.num_processes,
            }
            (folder / HARNESS_STATE).write_text(json.dumps(harness))
        self.accelerator.wait_for_everyone()  # every process has written its own files
        if self.args.should_save:
            checkpoints.seal(folder)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            harness = json.loads((Path(checkpoint) / HARNESS_STATE).read_text())
            if harness["processes"] != self.accelerator.num_processes:
                raise UserError(
                    f"{checkpoint} was written by {harness['processes']} processes, each with its "
                    f"own random state: {self.accelerator.num_processes} cannot continue exactly; "
                    "start as many, or delete the state"
                )
            self.method.load_state_dict(harness["method"])
            self.cost = Cost(**harness["cost"])
            self.rollout_tokens = harness["rollout_tokens"]
            self.clock.seconds.update(harness["seconds"])


class _StepClock(TrainerCallback):
    """Training seconds: from a step's first micro-batch to the end of its optimizer step. What
    the Trainer does between steps (logging, evaluation, checkpointing) is not training."""

    def __init__(self, clock: Clock):
        self._clock = clock

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._clock.start("train")

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self._clock.stop("train")
