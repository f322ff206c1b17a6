"""pass@1 and pass@n of a run from checkpoint to checkpoint."""

from __future__ import annotations

import pandas as pd

from gxpo.results.read import AVERAGE, COSTS, GROUP, SELECTION


def curves(scores: pd.DataFrame, value: str = "pass_at_1") -> pd.DataFrame:
    """Costs and mean ``value`` of every checkpoint of every run (model, label, method and seed, as
    far as they are columns), over the benchmarks that all checkpoints were evaluated on: a curve
    must not jump where a benchmark joins in at the end."""
    reported = scores[~scores["benchmark"].isin([AVERAGE, SELECTION])]
    evaluations = reported["benchmark"].value_counts()
    often = evaluations[evaluations == evaluations.max()].index
    shown = reported[reported["benchmark"].isin(often)]
    keys = [key for key in (*GROUP, "seed", "step") if key in scores]
    columns = [*(cost for cost in COSTS if cost not in keys), value]
    return shown.groupby(keys, as_index=False, sort=False)[columns].mean()
