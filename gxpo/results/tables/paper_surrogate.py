"""How well two gradients predict K real steps: what ``gxpo surrogate`` measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gxpo.results.read import Results
from gxpo.results.tables.table import Table, number

COLUMNS = {
    "problem": "problem",
    "optimizer": "optimizer",
    "prediction": "prediction",
    "k": "K",
    "relative_error": "relative error",
    "cosine": "cosine",
    "at_bound": "at a bound",
}


def surrogate_displacement(results: Results) -> Table:
    """Error and cosine of the predicted displacement, per problem, optimizer, prediction and K: of
    the policy at the configuration's learning rate, of the closed forms at lr = 2^-5 / h_max."""
    file = Path("results", results.config["name"], "surrogate", "surrogate.csv")
    frame = _measured(file) if file.exists() else pd.DataFrame(columns=[*COLUMNS])
    shown = frame.rename(columns=COLUMNS).astype(str)
    shown["relative error"] = [number(v, ".1e") for v in frame["relative_error"]]
    shown["cosine"] = [number(v, ".4f") for v in frame["cosine"]]
    shown["at a bound"] = [number(100 * v, ".0f", " %") for v in frame["at_bound"]]
    return Table(
        name="paper_6_surrogate",
        title="Predicted displacement against K real steps",
        frame=frame,
        shown=shown,
        notes=[
            "relative error: of the predicted displacement, over the norm of the real one. cosine: "
            "of the two. linear: (K/2)(theta_2 - theta_0), no formula. at a bound: share of "
            "coordinates at which the rule's clips decide. The policy at the configuration's "
            "learning rate, the closed forms at lr = 2^-5 / h_max; all learning rates are in "
            "surrogate.md."
        ],
        empty="(missing: `gxpo surrogate CONFIG` has not measured it)",
    )


def _measured(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file)
    return table[table["shown"]][[*COLUMNS]].reset_index(drop=True)
