"""The papers' headline claims (``results/claims.yaml``) and how evidence decides about one."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gxpo.catalog import benchmarks, known_methods
from gxpo.host import UserError, read_yaml, shipped
from gxpo.statistics import Estimate

CLAIMS = shipped("results/claims.yaml")
NEEDS = ("models", "train", "steps", "benchmarks", "hyperparameters", "settings")
MEASURES = ("gain", "step", "train_seconds", "backward_passes", "passes_per_step")

SUPPORTED, CONTRADICTED = "supported", "contradicted"
UNDECIDED, NOT_TESTED = "undecided", "not tested"


@dataclass(frozen=True)
class Claim:
    """One published figure; the keys are explained in ``results/claims.yaml``."""

    claim: str
    source: str
    published: str
    measure: str
    method: str
    against: str
    bound: str
    figure: float
    scope: str
    needs: dict[str, Any]

    def __post_init__(self) -> None:
        allowed = {
            "measure": MEASURES,
            "bound": ("at_least", "at_most"),
            "scope": ("every", "some"),
        }
        for key, values in allowed.items():
            if getattr(self, key) not in values:
                raise UserError(
                    f"claim {self.claim!r}: {key} is {getattr(self, key)!r}, not one of "
                    f"{', '.join(values)}"
                )


def read_claims(path: Path = CLAIMS) -> list[Claim]:
    """The claims in their order. Raises UserError for a bad entry."""
    content = read_yaml(path)
    keys = {field.name for field in fields(Claim)}
    claims = []
    for entry in content["claims"]:
        if set(entry) != keys:
            wrong = sorted(set(entry) ^ keys)[0]
            raise UserError(f"{path}: {entry.get('claim')!r}: key {wrong!r} is unknown or missing")
        if entry["needs"] not in content["needs"]:
            raise UserError(f"{path}: {entry['claim']!r}: no entry {entry['needs']!r} under needs")
        _refuse_unknown(f"{path}: {entry['claim']!r}", entry, content["needs"][entry["needs"]])
        claims.append(Claim(**{**entry, "needs": content["needs"][entry["needs"]]}))
    return claims


def _refuse_unknown(where: str, entry: dict[str, Any], needs: dict[str, Any]) -> None:
    """Names that match nothing: the claim would be "not tested" for ever."""
    rules = known_methods()
    sets = list(benchmarks())
    for what, given, known in (
        ("method", [entry["method"], entry["against"], *needs.get("settings", {})], rules),
        ("problem set", [needs["train"], *needs["benchmarks"]], sets),
        ("key of needs", list(needs), NEEDS),
    ):
        for name in given:
            if name not in known:
                raise UserError(f"{where}: unknown {what} {name!r}, known are {', '.join(known)}")


def verdict(claim: Claim, evidence: list[Estimate], complete: bool) -> str:
    """supported: the interval lies on the claim's side of the figure; contradicted: on the other;
    undecided: it holds both, or there is none (one seed); not tested: runs are missing that could
    still decide.

    evidence: an estimate of each model (and setting) that has run. complete: whether all runs that
    the claim needs are among them. A claim about every model falls with one; a claim about some
    ("up to") stands with one.
    """
    sides = [side(claim, estimate) for estimate in evidence]
    deciding, other = (
        (SUPPORTED, CONTRADICTED) if claim.scope == "some" else (CONTRADICTED, SUPPORTED)
    )
    if deciding in sides:
        return deciding
    if not complete:
        return NOT_TESTED
    return other if sides and set(sides) == {other} else UNDECIDED


def side(claim: Claim, estimate: Estimate) -> str:
    """What one estimate alone says of the figure: supported, contradicted or undecided."""
    low, high, figure = estimate.low, estimate.high, claim.figure
    if math.isnan(low) or math.isnan(high):
        return UNDECIDED
    if claim.bound == "at_most":
        low, high, figure = -high, -low, -figure
    if low >= figure:
        return SUPPORTED
    return CONTRADICTED if high < figure else UNDECIDED
