"""One run of the comparison, with all its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

LATER_KEYS: dict[str, dict[str, Any]] = {
    "train": {"reward": None, "report_to": []},
    "evaluate": {"temperature": 1.0, "top_p": 1.0},
}
"""Keys that configurations once did not have, with their defaults. At its default a key is left out
of a cell's settings, so that cells recorded without it are of the same settings."""
NO_NUMBER = ("report_to",)  # of ``train``: no number of a run depends on it


@dataclass(frozen=True)
class Cell:
    """One training run of the comparison: model x method label x seed, with all its settings."""

    name: str
    model: str
    label: str
    seed: int
    model_spec: dict[str, Any]
    method: str
    hyperparameters: dict[str, Any]
    train: dict[str, Any]
    evaluate: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where the cell lives, relative to the working directory."""
        return cell_folder(self.name, self.model, self.label, self.seed)

    def setting(self, section: str, key: str) -> Any:
        """One of ``LATER_KEYS``: ``setting("evaluate", "top_p")``."""
        return getattr(self, section).get(key, LATER_KEYS[section][key])

    @property
    def deciding_train(self) -> dict[str, Any]:
        """What of ``train`` a number depends on."""
        return {key: value for key, value in self.train.items() if key not in NO_NUMBER}

    @property
    def model_path(self) -> str:
        """The policy to start from: the warm-started folder of a tiny model, else as configured."""
        if "architecture" in self.model_spec:
            return str(Path("results", self.name, "models", self.model))
        return self.model_spec["path"]


def cell_folder(name: str, model: str, label: str, seed: int | str) -> Path:
    return Path("results", name, "runs", model, label, f"seed{seed}")


def evaluation_sets(evaluate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Label -> problems spec of everything a checkpoint is evaluated on, ``selection`` included."""
    return {**evaluate["benchmarks"], "selection": evaluate["selection"]}


def due_labels(sets: dict[str, dict[str, Any]], final: bool) -> list[str]:
    """The labels of ``sets`` that a checkpoint is evaluated on. final: it is one that is reported:
    the run's last, or the one that the selection split chooses."""
    return [label for label, spec in sets.items() if final or spec.get("at") != "last"]
