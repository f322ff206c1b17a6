"""Finished cells made up for tests of what is made from them: the answers are known."""

import json

import pandas as pd

from gxpo.config import cells
from gxpo.metrics import COLUMNS, append_row
from gxpo.runs import write_json


def fabricate(config, curve, seconds_per_step=None, passes_per_step=None, active=None):
    """Write run.json, metrics.jsonl and scores.csv of every cell of a completed config.

    curve(cell, benchmark, step) -> pass@1, or None for a cell that has not run.
    """
    for cell in cells(config):
        steps = list(range(0, cell.train["steps"] + 1, cell.evaluate["every"]))
        if curve(cell, "selection", 0) is None:
            continue
        cell.folder.mkdir(parents=True, exist_ok=True)
        (cell.folder / "metrics.jsonl").unlink(missing_ok=True)
        seconds = (seconds_per_step or {}).get(cell.label, 1.0)
        passes = (passes_per_step or {}).get(cell.label, 1)
        for step in range(1, cell.train["steps"] + 1):
            row = dict.fromkeys(COLUMNS, 0.5) | {"step": step, "kl": None}
            row |= {"train_seconds": seconds * step, "backward_passes": passes * step}
            if active and cell.label in active:
                row["method/active"] = float(step <= active[cell.label])
            append_row(cell.folder / "metrics.jsonl", row)
        benchmarks = [*cell.evaluate["benchmarks"], "selection"]
        scores = [
            {"step": s, "benchmark": b, "problems": 10, "samples": 4}
            | {"pass_at_1": curve(cell, b, s), "pass_at_1_se": 0.01, "pass_at_n": 1.0}
            | {"pass_at_n_se": 0.0}
            for s in steps
            for b in benchmarks
        ]
        pd.DataFrame(scores).to_csv(cell.folder / "scores.csv", index=False)
        write_json(cell.folder / "run.json", json.loads(json.dumps({"checkpoints": steps})))
