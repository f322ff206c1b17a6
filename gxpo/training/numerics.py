"""In what arithmetic a cell was really trained, as its trainer and torch say it themselves."""

from __future__ import annotations

from typing import Any

import torch

from gxpo.host import arithmetic
from gxpo.training.trainer import MethodTrainer


def numerics(trainer: MethodTrainer) -> dict[str, Any]:
    """Precision, kernels and engine of a trainer, for ``run.json``: what the configuration asked
    for stands there too, and what it does not ask for is torch's default."""
    state = trainer.accelerator.state
    return {
        "portable": arithmetic.record(_limits_of(trainer)),
        "parameter_dtypes": sorted({_name(p.dtype) for p in trainer.model.parameters()}),
        "trained_dtypes": sorted({_name(p.dtype) for p in trainer.trainable_parameters}),
        "mixed_precision": state.mixed_precision,
        "distributed_type": state.distributed_type.value,
        "compiled_by": state.dynamo_plugin.backend.value,
        "attention": trainer.model.config._attn_implementation,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "tf32": {
            "matmul": torch.backends.cuda.matmul.allow_tf32,
            "cudnn": torch.backends.cudnn.allow_tf32,
        },
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn": {
            "deterministic": torch.backends.cudnn.deterministic,
            "benchmark": torch.backends.cudnn.benchmark,
        },
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _limits_of(trainer: MethodTrainer) -> list[str]:
    """What of the cell itself is not the same everywhere, in words."""
    limits = []
    if not torch.cuda.is_available() and trainer.accelerator.state.mixed_precision == "bf16":
        limits.append("products of bfloat16 numbers are taken by other kernels on other processors")
    if trainer.args.use_vllm:
        limits.append("rollouts are drawn by vLLM's kernels")
    return limits


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
