"""What ``MethodTrainer`` refuses, and why. What no setting tells is for ``first_step``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import torch
from transformers.training_args import OptimizerNames

from gxpo.host import UserError
from gxpo.method import Method
from gxpo.training.harness_state import generation_cycle

if TYPE_CHECKING:
    from gxpo.training.trainer import MethodTrainer

STEP_DURING_BACKWARD = {
    OptimizerNames.LOMO,
    OptimizerNames.ADALOMO,
    *(name for name in OptimizerNames if name.value.endswith("layerwise")),
}
KEEP_STATE_IN_GROUPS = {
    name for name in OptimizerNames if name.value.startswith("schedule_free")
}  # how often they have stepped: a snapshot holds what is kept for each parameter
# By id: a rule may define ==, and is not hashable then.
_TAKEN: WeakValueDictionary[int, Method] = WeakValueDictionary()


def take(method: Method) -> None:
    """Raise UserError where another trainer has the method object already: it keeps state (gates,
    averages), which would be carried from one training into the other."""
    if _TAKEN.get(id(method)) is method:
        raise UserError(
            f"this {type(method).__name__} object is another trainer's already, and its state with "
            "it: make a fresh one for every trainer, as gxpo.load_method does"
        )
    _TAKEN[id(method)] = method


def refuse_unsupported(trainer: MethodTrainer) -> None:
    if trainer.is_deepspeed_enabled:
        raise UserError("DeepSpeed is not supported: its engine owns the optimizer step")
    precision = "fp16" if trainer.args.fp16 else trainer.accelerator.mixed_precision
    if precision == "fp16":
        raise UserError("fp16 is not supported: gradient scaling skips steps; use bf16 or fp32")
    if precision == "fp8":
        raise UserError(
            "fp8 is not supported: its scales follow every pass; use bf16 or fp32 "
            "(mixed_precision of accelerate)"
        )
    if trainer.args.n_gpu > 1:
        raise UserError(
            f"one process with {trainer.args.n_gpu} GPUs is not supported: DataParallel multiplies "
            "the batch; let CUDA_VISIBLE_DEVICES name one, or start a process for each"
        )
    if trainer.use_adaptive_entropy:
        raise UserError("TRL's adaptive entropy bonus is not supported: it counts every pass")
    _refuse_optimizer(trainer)
    _refuse_noise(trainer)
    _refuse_saves(trainer)


def _refuse_optimizer(trainer: MethodTrainer) -> None:
    if trainer.optimizer is not None:  # passed to the trainer; optim says nothing then
        return
    name = OptimizerNames(trainer.args.optim)
    if name in STEP_DURING_BACKWARD:
        raise UserError(
            f"optim={name.value} is not supported: it steps during the backward pass, so that a "
            "rule could neither see its gradient nor take a pass without a step"
        )
    if name in KEEP_STATE_IN_GROUPS:
        raise UserError(
            f"optim={name.value} is not supported: it keeps a state in its parameter groups, which "
            "a rule cannot put back after its trial steps"
        )


def _refuse_noise(trainer: MethodTrainer) -> None:
    if trainer.neftune_noise_alpha is not None:
        raise UserError(
            "neftune_noise_alpha is not supported: passes over the same batch would differ by its "
            "noise; leave it out"
        )
    rates = [m.p for m in trainer.model.modules() if isinstance(m, torch.nn.Dropout)]
    rates.append(getattr(trainer.model.config.get_text_config(), "attention_dropout", 0.0) or 0.0)
    if max(rates) > 0:
        raise UserError(
            f"dropout {max(rates)} in the policy is not supported: passes over the same batch "
            "would differ by its noise; set it to 0"
        )


def _refuse_saves(trainer: MethodTrainer) -> None:
    """Checkpoints in the middle of a generation cycle: they do not hold its rollouts."""
    args, cycle = trainer.args, generation_cycle(trainer)
    steps = cycle // math.gcd(cycle, args.gradient_accumulation_steps)  # whole cycles end there
    if args.save_strategy != "steps" or args.save_steps % steps == 0:
        return
    if args.save_steps < 1:
        if steps == 1:
            return
        problem = f"save_steps={args.save_steps}, a share of all steps, may"
    else:
        problem = f"save_steps={args.save_steps} would"
    above = steps * math.ceil(max(args.save_steps, 1) / steps)
    raise UserError(
        f"{problem} checkpoint in the middle of a generation cycle of {cycle} micro-batches "
        f"(steps_per_generation={args.steps_per_generation} times "
        f"num_iterations={trainer.num_iterations}), which cannot be resumed exactly: set "
        f"save_steps to a multiple of {steps} ({above}, say), or save_strategy to 'epoch' or 'no'"
    )
