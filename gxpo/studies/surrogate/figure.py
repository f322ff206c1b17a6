"""The analysis as one figure of four panels."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from gxpo.results import COLOURS
from gxpo.studies.surrogate.measure import LINEAR
from gxpo.studies.surrogate.report import is_policy

K = 5  # of the panels that show one
STYLES = {"gradient": "-", "update": "--", LINEAR: ":"}  # one line style per prediction


def figure(table: pd.DataFrame) -> plt.Figure:
    """Relative error of the predicted theta_K: closed forms against the learning rate under SGD
    and AdamW (K = 5), the rotated quadratic against its angle, the policy against the learning
    rate (K = 5)."""
    drawn, axes = plt.subplots(2, 2, figsize=(10.5, 7.6), layout="constrained")
    over_lr = table[(table["varied"] == "lr") & (table["k"] == K)]
    policy = is_policy(over_lr)
    for axis, optimizer in zip(axes[0], ("sgd", "adamw"), strict=True):
        mine = over_lr[~policy & (over_lr["optimizer"] == optimizer)]
        _curves(axis, mine, "problem", "lr_relative")
        axis.set_title(f"closed forms, {_NAMES[optimizer]}, K = {K}")
        axis.set_xlabel("learning rate × largest curvature")
    angles = table[table["varied"] == "coupling"]
    _curves(axes[1][0], angles.assign(K=angles["k"].map("K = {}".format)), "K", "coupling")
    axes[1][0].set_title("rotated quadratic, SGD")
    axes[1][0].set_xlabel("rotation angle (coupling), radians")
    mine = over_lr[policy]
    _curves(axes[1][1], mine.assign(optimizer=mine["optimizer"].replace(_NAMES)), "optimizer")
    axes[1][1].set_title(f"policy, K = {K}")
    axes[1][1].set_xlabel("learning rate / the run's (SGD: / as long a first step)")
    for axis in axes.flat:
        axis.set(xscale="log", yscale="log")
        axis.grid(alpha=0.3)
    for row in axes:
        row[0].set_ylabel("relative error of the predicted $\\theta_K$")
    styles = [
        plt.Line2D([], [], color="grey", ls=style, label=_PREDICTIONS[name])
        for name, style in STYLES.items()
    ]
    drawn.legend(handles=styles, loc="outside upper center", ncols=len(styles), frameon=False)
    return drawn


_NAMES = {"sgd": "SGD", "adamw": "AdamW, fresh", "adamw, warm": "AdamW, warm"}
_PREDICTIONS = {
    "gradient": "GXPO, gradient retention (default)",
    "update": "GXPO, update retention",
    LINEAR: "linear: K/2 × two steps",
}


def _curves(axis: plt.Axes, table: pd.DataFrame, by: str, x: str = "lr_relative") -> None:
    """A colour per value of ``by``, a line style per prediction."""
    for colour, (name, group) in zip(COLOURS, table.groupby(by, sort=False), strict=False):
        for prediction, curve in group.groupby("prediction", sort=False):
            label = name if prediction == "gradient" else None
            style = STYLES[prediction]
            axis.plot(
                curve[x],
                curve["relative_error"],
                style,
                color=colour,
                label=label,
                marker=".",
                ms=3,
            )
    if len(table):
        axis.legend(fontsize=8, frameon=False)
