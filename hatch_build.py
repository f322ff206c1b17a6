"""What a wheel carries beside the package: the files that ``gxpo.host.shipped`` looks for."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = (
    "Snakefile",
    "config",
    "envs/constraints.txt",
    "methods",
    "profiles",
    "results/claims.yaml",
    "slurm",
    "workflow",
)


class ShippedFiles(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":  # that one reads the repository itself
            build_data["force_include"] |= {name: f"gxpo/shipped/{name}" for name in SHIPPED}
