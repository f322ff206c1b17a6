"""What is installed by an extra only, and the line that says so where it is missing.

The library (``MethodTrainer``, ``ClosureBatch``, the rules) needs torch, transformers, trl,
accelerate and peft; ``suite`` is the pipeline, evaluation, tracking and reports.
"""

from __future__ import annotations

from importlib.util import find_spec

from gxpo.host.errors import UserError
from gxpo.host.shipped import REPOSITORY

_SUITE = """jsonschema lm_eval math_verify matplotlib mlflow pandas pyarrow pydantic rocrate scipy
snakemake tabulate"""
EXTRA_OF = {
    **dict.fromkeys(_SUITE.split(), "suite"),
    "snakemake_executor_plugin_slurm": "slurm",
    "vllm": "vllm",
}
"""Module -> the extra that brings it."""


def require(module: str) -> None:
    """Raise UserError where a module of an extra is not installed."""
    if find_spec(module) is None:
        raise UserError(missing(module))


def missing(module: str) -> str:
    """One line: what is missing and the command that installs it."""
    extra = EXTRA_OF[module.partition(".")[0]]
    target = f"-e '.[{extra}]'" if REPOSITORY else f"'gxpo[{extra}]'"
    return f"{module} is not installed: pip install {target}"
