"""All measurements of ``gxpo bench``, one after another in this process."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from gxpo.host import progress_bar
from gxpo.studies.bench.memory import extra_memory
from gxpo.studies.bench.report import Measurement
from gxpo.studies.bench.subject import MEDIUM, MEMORY, QUICK, QUICK_MEMORY, TINY
from gxpo.studies.bench.timing import trl_ratios, update_ratios

MEMORY_NAMES = {
    "gxpo": "gxpo_extra_memory_ratio",
    "gxpo, gate closed": "gate_closed_extra_memory_ratio",
}


def bench(quick: bool = False, rounds: int | None = None) -> list[Measurement]:
    """Measure everything. quick: few and small rounds. rounds: instead of each model's own.

    On a CPU with one thread, as the suite runs small models: its processor time is then the time
    it would take alone.
    """
    torch.set_num_threads(1)
    subjects = list(QUICK if quick else (TINY, MEDIUM))
    in_memory = QUICK_MEMORY if quick else MEMORY
    if rounds is not None:
        subjects = [replace(subject, rounds=rounds) for subject in subjects]
    measurements = []
    progress = progress_bar("bench", 2 + sum(2 * subject.rounds for subject in subjects))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for lora in (False, True):
            model = f"{in_memory.name}, {'LoRA' if lora else 'full'}"
            for what, ratio in extra_memory(in_memory, folder, lora, quick).items():
                name = MEMORY_NAMES.get(what, f"extra memory: {what}")
                measurements.append(Measurement(name, model, [ratio]))
            progress.update()
        for subject in subjects:
            for ratios in (
                trl_ratios(subject, folder, progress),
                update_ratios(subject, folder, progress),
            ):
                judged = next(iter(ratios))[1]
                for (what, clock), values in ratios.items():
                    name = what if clock == judged else f"{what} ({clock} clock)"
                    measurements.append(Measurement(name, subject.name, values))
    progress.close()
    return measurements
