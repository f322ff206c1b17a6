"""The curves on the page of a run are what was measured."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.fabricate import comparison_config, fabricate
from support.report_page import by_label

from gxpo.config import complete_config
from gxpo.results import read_results
from gxpo.results.report.curves import SCALE, _score, curve_data
from gxpo.results.tables.table import with_interval
from gxpo.statistics import seed_band, seed_interval


def test_curves_are_what_was_measured(config):
    gains = {"base": [0.1, 0.1, 0.1], "fast": [0.14, 0.16, 0.15]}
    slow_seed = {"metrics": lambda c, step: {"train_seconds": step * (c.seed + 1.0)}}
    fabricate(config, by_label(gains), passes_per_step={"fast": 3}, **slow_seed)
    data = curve_data(read_results(config), 10**6)
    run = data["runs"]["tiny"]["fast"]
    assert run["costs"]["step"] == {"mean": [0, 2, 4, 6, 8], "runs": None}
    assert run["costs"]["backward_passes"]["mean"] == [0, 6, 12, 18, 24]
    assert run["costs"]["train_seconds"]["mean"][-1] == 16
    assert [line[-1] for line in run["costs"]["train_seconds"]["runs"]] == [8, 16, 24]
    words = run["scores"]["words"]
    assert words["mean"] == [4000, 5500, 5500, 5500, 5500]
    assert [line[1] for line in words["runs"]] == [5400, 5600, 5500]
    expected = seed_interval([0.54, 0.56, 0.55])
    assert words["low"][1] == round(SCALE * expected.low)
    assert words["high"][1] == round(SCALE * expected.high)
    assert run["scores"]["average"]["mean"][-1] == 5000
    assert run["scores"]["selection"]["mean"][-1] == 6500
    assert data["every"] == 1
    assert [look["name"] for look in data["labels"]] == ["base", "fast"]


def test_a_benchmark_of_the_last_checkpoint_is_one_point(workdir):
    late = {"problems": "synthetic/test", "limit": 25, "samples": 4, "at": "last"}
    config = complete_config(comparison_config(late=late))

    def curve(cell, benchmark, step):
        return 0.7 if benchmark == "late" else 0.4 + 0.02 * step

    fabricate(config, curve)
    scores = curve_data(read_results(config), 10**6)["runs"]["tiny"]["fast"]["scores"]
    assert scores["late"]["mean"] == [None] * 4 + [7000]
    assert scores["average"]["mean"] == [4000, 4400, 4800, 5200, 5600]  # late would be a jump


def test_long_runs_are_thinned_to_the_budget_with_both_ends(workdir):
    config = complete_config(comparison_config(steps=240, every=1))
    fabricate(config, lambda cell, benchmark, step: 0.4 + 0.001 * step)
    results = read_results(config)
    most = curve_data(results, 10**9)
    few = curve_data(results, 20_000)
    for data in (most, few):
        costs = data["runs"]["tiny"]["base"]["costs"]["step"]["mean"]
        assert (costs[0], costs[-1]) == (0, 240)
    assert len(most["runs"]["tiny"]["base"]["costs"]["step"]["mean"]) == 200
    assert len(json.dumps(few, separators=(",", ":"))) < 20_000
    assert few["every"] > 1


@given(st.lists(st.lists(st.floats(-1, 1), min_size=4, max_size=4), min_size=1, max_size=5))
def test_a_band_is_the_interval_of_every_column(values):
    bands = np.stack(seed_band(np.array(values)), axis=1)
    for column, band in zip(np.array(values).T, bands, strict=True):
        np.testing.assert_allclose(band, seed_interval(list(column)), equal_nan=True)


@given(st.lists(st.integers(0, 2000), min_size=3, max_size=3))
def test_what_the_chart_writes_is_what_the_table_writes(counts):
    """Ties included: a mean of 54.95 % is one text in both, whatever is drawn."""
    block = np.array(counts, float)[:, None] / 2000
    mean, low, high = (line[0] for line in seed_band(block))
    expected = with_interval(mean, low, high, ".1f", 100)
    shown = [f"{line[0] / 10:.1f}" for line in _score(block)["shown"]]
    assert f"{shown[0]} [{shown[1]}, {shown[2]}]".replace("-0.0", "0.0") == expected.replace(
        "-0.0", "0.0"
    )
