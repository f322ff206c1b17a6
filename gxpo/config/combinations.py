"""Values that the schema allows one by one, but not together or not on this machine."""

from __future__ import annotations

from typing import Any

from gxpo.cells import evaluation_sets
from gxpo.host import UserError

PACKAGES = {"comet_ml": "comet-ml", "flyte": "flytekit", "azure_ml": "azureml-mlflow"}


def check_sampling(evaluate: dict[str, Any]) -> None:
    """At temperature 0 every sample of a problem would be the same completion: pass@n would be
    pass@1, and its spread over samples that of copies. And nothing is left for top_p to do."""
    if evaluate["temperature"] > 0:
        return
    if evaluate["top_p"] < 1:
        raise UserError(
            "config: evaluate.top_p has no effect at evaluate.temperature = 0 (the likeliest token "
            "is taken): leave it out"
        )
    for label, spec in evaluation_sets(evaluate).items():
        if spec["samples"] > 1:
            where = "selection" if label == "selection" else f"benchmarks.{label}"
            raise UserError(
                f"config: evaluate.{where}.samples = {spec['samples']}, but at "
                "evaluate.temperature = 0 (the likeliest token is taken) all would be the same: "
                "set samples to 1"
            )


def check_reports(names: list[str]) -> None:
    """Raise UserError for a logger that transformers does not know, or that is not installed."""
    if not names:
        return
    from transformers.integrations.integration_utils import (
        INTEGRATION_TO_CALLBACK,
        get_available_reporting_integrations,
    )

    known = sorted(set(INTEGRATION_TO_CALLBACK) - {"mlflow"})
    for name in names:
        if name == "mlflow":
            raise UserError(
                "config: train.report_to: MLflow needs no entry: it gets every finished cell, and "
                "rows as they come where MLFLOW_TRACKING_URI names a server"
            )
        if name not in known:
            raise UserError(
                f"config: train.report_to: unknown logger {name!r}, transformers knows "
                f"{', '.join(known)}"
            )
        if name not in get_available_reporting_integrations():
            raise UserError(
                f"config: train.report_to: {name} is not installed: "
                f"pip install {PACKAGES.get(name, name)}"
            )
