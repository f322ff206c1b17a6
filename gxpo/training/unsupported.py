"""What ``MethodTrainer`` refuses, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gxpo.host import UserError

if TYPE_CHECKING:
    from gxpo.training.trainer import MethodTrainer


def refuse_unsupported(trainer: MethodTrainer) -> None:
    if trainer.is_deepspeed_enabled:
        raise UserError("DeepSpeed is not supported: its engine owns the optimizer step")
    if trainer.args.fp16 or trainer.accelerator.mixed_precision in ("fp16", "fp8"):
        raise UserError("fp16 is not supported: gradient scaling skips steps; use bf16 or fp32")
    if trainer.args.n_gpu > 1:
        raise UserError(
            f"one process with {trainer.args.n_gpu} GPUs is not supported: DataParallel multiplies "
            "the batch; let CUDA_VISIBLE_DEVICES name one, or start a process for each"
        )
    if trainer.use_adaptive_entropy:
        raise UserError("TRL's adaptive entropy bonus is not supported: it counts every pass")
    rates = [m.p for m in trainer.model.modules() if isinstance(m, torch.nn.Dropout)]
    rates.append(getattr(trainer.model.config.get_text_config(), "attention_dropout", 0.0) or 0.0)
    if max(rates) > 0:
        raise UserError(
            f"dropout {max(rates)} in the policy is not supported: passes over the same batch "
            "would differ by its noise; set it to 0"
        )
    cycle = trainer.args.steps_per_generation * trainer.num_iterations
    between_saves = trainer.args.save_steps * trainer.args.gradient_accumulation_steps
    if trainer.args.save_strategy == "steps" and between_saves >= 1 and between_saves % cycle:
        raise UserError(
            f"save_steps={trainer.args.save_steps} would checkpoint in the middle of a generation "
            f"cycle of {cycle} micro-batches, which cannot be resumed exactly"
        )
