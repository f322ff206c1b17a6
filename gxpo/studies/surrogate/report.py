"""Orders of convergence, and the analysis as one Markdown page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

EXACT = 1e-12  # relative error below which a prediction counts as exact, double precision
GROUP = ["varied", "problem", "optimizer", "prediction"]
# Up to where orders are fitted: lr * h_max of the closed forms, lr of the policy over its unit
# (see gxpo.studies.surrogate.policy), rotation angle in radians.
ASYMPTOTIC, ASYMPTOTIC_POLICY, SMALL_ANGLE = 2.0**-8, 2.0**-6, 2.0**-7
SHOWN = 2.0**-5  # lr * h_max of the closed forms' errors in the table


def orders(table: pd.DataFrame) -> pd.DataFrame:
    """Order of the error in what was varied: the slope of log error against its log, by least
    squares, per problem, optimizer, prediction and K.

    Columns beside those: ``low`` and ``high``, the range of the fit (lr relative to its unit, or
    radians); ``order`` of the absolute and ``relative_order`` of the relative error; ``exact``,
    whether every relative error in the range is below 1e-12 (the orders are then NaN).
    """
    rows = []
    for key, group in table.groupby([*GROUP, "k"], sort=False):
        x, until = "lr_relative", ASYMPTOTIC
        if key[0] == "coupling":
            x, until = "coupling", SMALL_ANGLE
        elif is_policy(group).all():
            until = ASYMPTOTIC_POLICY
        used = group[group[x] <= until]
        exact = bool((used["relative_error"] < EXACT).all())
        row = {"low": used[x].min(), "high": used[x].max(), "exact": exact}
        for name, error in (("order", "absolute_error"), ("relative_order", "relative_error")):
            row[name] = np.nan if exact else _slope(used[x], used[error])
        rows.append({**dict(zip([*GROUP, "k"], key, strict=True)), **row})
    return pd.DataFrame(rows)


def is_policy(table: pd.DataFrame) -> pd.Series:
    """Which rows are of a language model, not of a closed form."""
    return table["problem"].str.startswith("policy ")


def is_shown(table: pd.DataFrame) -> pd.Series:
    """Which rows stand for their problem in a table of errors: one learning rate of each. Of the
    policy it is the configuration's."""
    rate = np.where(is_policy(table), 1.0, SHOWN)
    return (table["varied"] == "lr") & np.isclose(table["lr_relative"], rate)


def report(table: pd.DataFrame) -> str:
    """The whole analysis: one table of errors at one learning rate each, with its orders."""
    shown = table[is_shown(table)]
    policy = is_policy(shown)
    slopes = orders(table)
    parts = [
        "# Predicted theta_K against K real steps",
        "Relative error: ||predicted - real|| / ||real - theta_0||. Cosine: of the two "
        "displacements. linear: (K/2)(theta_2 - theta_0), no formula. At a bound: share of "
        "coordinates whose scale is 1 or K/2 + 1. Order: slope of the log error, absolute / "
        "relative, against the log learning rate, by least squares; exact: every relative error "
        f"in the range is below {EXACT:g}.",
        f"## Closed forms at lr = {SHOWN:g} / h_max",
        _errors(shown[~policy], slopes),
    ]
    if policy.any():
        parts += [
            "## The policy at the configuration's learning rate",
            "SGD's learning rate makes its first step as long as that of AdamW.",
            _errors(shown[policy], slopes),
        ]
    parts += [
        "## Order in the coupling (rotation angle of the quadratic, SGD)",
        _orders_in_coupling(slopes),
    ]
    return "\n\n".join(parts) + "\n"


def _errors(shown: pd.DataFrame, slopes: pd.DataFrame) -> str:
    """One row per problem, optimizer and prediction; K across. The range of the orders below."""
    rows = []
    for key, group in shown.groupby(GROUP, sort=False):
        by_k = group.set_index("k")
        mine = slopes[(slopes[GROUP] == list(key)).all(axis=1)].set_index("k")
        middle = by_k.index[len(by_k) // 2]
        rows.append(
            {
                **dict(zip(GROUP[1:], key[1:], strict=True)),
                **{f"error, K={k}": _size(e) for k, e in by_k["relative_error"].items()},
                f"cosine, K={middle}": f"{by_k['cosine'][middle]:.4f}",
                f"at a bound, K={middle}": f"{100 * by_k['at_bound'][middle]:.0f} %",
                **{f"order, K={k}": _order(row) for k, row in mine.iterrows()},
            }
        )
    fitted = f"Orders over relative learning rates from {_range(mine.iloc[0])}."
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) + "\n\n" + fitted


def _orders_in_coupling(slopes: pd.DataFrame) -> str:
    mine = slopes[slopes["varied"] == "coupling"]
    rows = [
        {"prediction": row["prediction"], "K": row["k"]}
        | {"order": _order(row), "radians": _range(row)}
        for _, row in mine.iterrows()
    ]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def _size(error: float) -> str:
    return f"exact ({error:.0e})" if error < EXACT else f"{error:.1e}"


def _order(row: pd.Series) -> str:
    return "exact" if row["exact"] else f"{row['order']:.2f} / {row['relative_order']:.2f}"


def _range(row: pd.Series) -> str:
    return f"{row['low']:.1e} to {row['high']:.1e}"


def _slope(x: pd.Series, error: pd.Series) -> Any:
    return np.polyfit(np.log(x), np.log(error), 1)[0]
