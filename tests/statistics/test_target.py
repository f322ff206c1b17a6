"""Time to target: the rule, censoring, and the ratio's closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gxpo.statistics import cost_ratio, gain_target, target_costs
from gxpo.statistics.intervals import seed_band, seed_interval
from gxpo.statistics.target import ratio_intervals

COSTS = [10.0, 20.0, 30.0, 40.0]


@pytest.mark.parametrize(
    ("scores", "cost", "reached"),
    [
        ([0.1, 0.5, 0.6, 0.1], 20, True),  # at the target counts; what comes later does not matter
        ([0.5, 0.1, 0.5, 0.5], 30, True),  # one evaluation above it is luck
        ([0.1, 0.1, 0.1, 0.9], 40, False),  # the last alone is confirmed by nothing
        ([0.5, 0.4, 0.5, 0.4], 40, False),
        ([0.5, 0.5, 0.0, 0.0], 10, True),
        ([0.1, 0.1, 0.5, 0.5], 30, True),
    ],
)
def test_first_of_two_consecutive_evaluations(scores, cost, reached):
    found = target_costs(np.array(scores), np.array(COSTS), 0.5)
    assert (found.cost, found.reached) == (cost, reached)


def test_one_evaluation_sustains_nothing():
    found = target_costs(np.array([0.9]), np.array([10.0]), 0.5)
    assert (found.cost, found.reached) == (10, False)


def test_runs_by_the_dozen_as_one_by_one():
    rng = np.random.default_rng(0)
    scores, costs = rng.random((3, 4, 9)), rng.random((3, 4, 9)).cumsum(axis=-1)
    found = target_costs(scores, costs, 0.6)
    assert 0 < found.reached.mean() < 1
    for i in np.ndindex(3, 4):
        one = target_costs(scores[i], costs[i], 0.6)
        assert (found.cost[i], found.reached[i]) == (one.cost, one.reached)


def test_target_is_a_share_of_the_median_gain():
    start, end = np.array([0.40, 0.42, 0.50]), np.array([0.50, 0.62, 0.90])  # gains .1, .2, .4
    assert gain_target(start, end, 0.5) == pytest.approx(0.42 + 0.1)
    assert gain_target(start, end, 0.95) == pytest.approx(0.42 + 0.19)
    assert math.isnan(gain_target(end, start, 0.5))
    assert math.isnan(gain_target(start, start, 0.5))


def test_ratio_is_that_of_the_means_and_not_of_the_seeds():
    assert cost_ratio(np.array([10.0, 30.0]), np.array([10.0, 10.0])).mean == pytest.approx(2)


def test_interval_in_closed_form():
    ratio, low, high = cost_ratio(np.array([8.0, 10.0, 12.0]), np.array([5.0, 5.0, 5.0]))
    half = 4.302653 * 0.2 / math.sqrt(3)  # residuals -.2, 0, .2
    assert (ratio, low, high) == pytest.approx(
        (2, 2 * math.exp(-half), 2 * math.exp(half)), rel=1e-6
    )


def test_sides_in_proportion_leave_nothing_to_doubt():
    low, ratio, high = ratio_intervals(np.array([3.0, 4.0, 8.0]), np.array([1.5, 2.0, 4.0]))
    assert (low, ratio, high) == pytest.approx((2.0, 2.0, 2.0))


def test_bands_are_intervals_point_by_point():
    values = np.array([[1.0, 10.0], [2.0, 10.5], [6.0, 9.0]])
    bands = np.array(seed_band(values, level=0.8))
    for point, column in enumerate(values.T):
        assert tuple(bands[:, point]) == pytest.approx(seed_interval(list(column), level=0.8))
    assert (bands[2] - bands[0])[0] > 2 * (bands[2] - bands[0])[1]


def test_interval_is_never_narrower_than_the_grid_of_evaluations():
    same = np.full(3, 60.0)
    assert cost_ratio(same, same) == (1, 1, 1)
    _, low, high = cost_ratio(same, same, gaps=(6.0, 12.0))
    half = 4.302653 * math.sqrt((0.1**2 + 0.2**2) / 12 / 3)
    assert (low, high) == pytest.approx((math.exp(-half), math.exp(half)), rel=1e-6)


def test_one_seed_has_a_ratio_and_no_interval():
    ratio, low, high = cost_ratio(np.array([20.0]), np.array([10.0]))
    assert ratio == pytest.approx(2)
    assert math.isnan(low) and math.isnan(high)


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(1, 100)), min_size=2, max_size=8))
def test_swapping_the_sides_inverts_the_ratio(pairs):
    b, r = np.array(pairs).T
    there, back = cost_ratio(b, r), cost_ratio(r, b)
    assert back.mean == pytest.approx(1 / there.mean)
    assert (back.low, back.high) == pytest.approx((1 / there.high, 1 / there.low))


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(1, 100)), min_size=3, max_size=3))
def test_many_at_once_as_one_by_one(pairs):
    b, r = np.array(pairs).T
    low, ratio, high = ratio_intervals(np.stack([b, r]), np.stack([r, b]))
    assert (ratio[0], low[0], high[0]) == pytest.approx(cost_ratio(b, r))
    assert (ratio[1], low[1], high[1]) == pytest.approx(cost_ratio(r, b))
