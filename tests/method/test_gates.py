"""Gates on series worked out by hand."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gxpo.method import EmaGate, NeverGate, WindowGate, make_gate

finite = st.floats(-1e6, 1e6)


def judge(gate, values):
    return [(gate.observe(v), gate.z)[1] for v in values]


def test_window_gate_judges_against_the_preceding_window():
    gate = WindowGate(threshold=3.0, window=4)
    zs = judge(gate, [1.0, 3.0, 1.0, 3.0, 4.0])
    assert all(math.isnan(z) for z in zs[:4])  # the window is not full yet
    assert zs[4] == pytest.approx(2.0)  # mean 2, population std 1
    assert gate.active
    gate.observe(7.0)  # window now 3, 1, 3, 4: mean 2.75, population std sqrt(1.1875)
    assert gate.z == pytest.approx((7 - 2.75) / math.sqrt(1.1875))
    assert not gate.active


def test_window_gate_can_include_the_current_value():
    gate = WindowGate(threshold=1.5, window=3, include_current=True)
    zs = judge(gate, [1.0, 1.0, 1.0, 4.0])
    assert math.isnan(zs[1])  # two values are not a window of three
    assert zs[2] == 0.0
    assert zs[3] == pytest.approx((4 - 2) / math.sqrt(2))  # window 1, 1, 4
    assert gate.active  # sqrt(2) < 1.5
    gate = WindowGate(threshold=1.4, window=3, include_current=True)
    judge(gate, [1.0, 1.0, 1.0, 4.0])
    assert not gate.active


def test_window_gate_closes_exactly_at_the_threshold():
    gate = WindowGate(threshold=2.0, window=2)
    gate.observe(1.0)
    gate.observe(3.0)
    gate.observe(4.0 + 2e-9)  # z = (4 - 2) / (1 + 1e-9), with the epsilon made up for
    assert gate.z >= 2.0
    assert not gate.active


def test_downward_excursions_do_not_close_a_gate():
    gate = WindowGate(threshold=2.0, window=2)
    judge(gate, [1.0, 3.0, -100.0])
    assert gate.z < -2
    assert gate.active


def test_min_observations_judges_before_the_window_is_full():
    gate = WindowGate(threshold=0.5, window=30, min_observations=2)
    zs = judge(gate, [1.0, 3.0, 4.0])
    assert math.isnan(zs[1])
    assert zs[2] == pytest.approx(2.0)
    assert not gate.active


def test_a_closed_gate_stays_closed_and_forgets_nothing():
    gate = WindowGate(threshold=1.0, window=2)
    judge(gate, [1.0, 3.0, 10.0])
    state = gate.state_dict()
    judge(gate, [0.0, 0.0])
    assert gate.state_dict() == state


def test_ema_gate_by_hand():
    gate = EmaGate(threshold=0.5, omega=0.1)
    zs = judge(gate, [1.0, 1.0])
    assert all(math.isnan(z) for z in zs)  # the first two only feed it
    # two values at the mean: variance 0.9^2, mean 1
    assert gate.std == pytest.approx(0.9)
    gate.observe(1.2)
    assert gate.z == pytest.approx(0.2 / 0.9)
    assert gate.std == pytest.approx(math.sqrt(0.9 * 0.81 + 0.1 * 0.04))
    assert gate.mean == pytest.approx(1.02)
    gate.observe(2.0)
    assert gate.z == pytest.approx(0.98 / math.sqrt(0.9 * 0.81 + 0.1 * 0.04))
    assert not gate.active


def test_ema_gate_keeps_a_least_deviation():
    gate = EmaGate(threshold=math.inf)
    for _ in range(200):
        gate.observe(1.0)
    assert gate.std == 0.01


def test_never_gate_never_closes():
    gate = NeverGate()
    for value in (0.0, 1e30, -1e30):
        gate.observe(value)
    assert gate.active


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("gate", [WindowGate(2.0, 3), EmaGate(0.5), NeverGate()])
def test_non_finite_values_are_ignored(gate, bad):
    gate.observe(1.0)
    before = json.dumps(gate.state_dict())
    gate.observe(bad)
    assert json.dumps(gate.state_dict()) == before


@given(st.lists(finite, min_size=3, max_size=40), st.integers(1, 39), st.booleans())
def test_a_gate_resumes_exactly(values, cut, include_current):
    def fresh():
        return WindowGate(1.5, window=5, include_current=include_current)

    whole, first, second = fresh(), fresh(), fresh()
    judge(whole, values)
    judge(first, values[:cut])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    judge(second, values[cut:])
    assert json.dumps(second.state_dict()) == json.dumps(whole.state_dict())


@given(
    st.lists(st.floats(0.1, 10), min_size=6, max_size=40),
    st.sampled_from([2.0**-10, 0.25, 8.0, 2.0**20]),
)
def test_the_window_gate_is_free_of_scale(values, factor):
    spread = max(values[:4]) - min(values[:4])
    plain, scaled = WindowGate(math.inf, window=4), WindowGate(math.inf, window=4)
    judge(plain, values[:5])
    judge(scaled, [factor * v for v in values[:5]])
    if spread > 1e-2:  # below, the 1e-9 beside the deviation shows
        assert scaled.z == pytest.approx(plain.z, rel=1e-3, abs=1e-3)


def test_loading_another_gates_state_is_refused():
    with pytest.raises(ValueError, match="EmaGate needs"):
        EmaGate(0.5).load_state_dict(WindowGate(2.0).state_dict())


def test_two_sided_closes_on_a_downward_excursion_too():
    for two_sided in (False, True):
        gate = EmaGate(2.0, two_sided=two_sided)
        judge(gate, [1.0, 1.0, -9.0])
        assert gate.z < -2
        assert gate.active != two_sided


def test_the_first_release_acts_once_whatever_the_scale():
    """Two-sided from the first observation on: |H - 1| alone decides, as mu = sigma = 1."""
    for value in (0.1, 2.0, 30.0):
        gate = make_gate("ema", 0.5, two_sided=True, min_observations=0)
        gate.observe(value)
        assert gate.z == pytest.approx(value - 1, abs=1e-6)
        assert not gate.active


def test_a_temporary_gate_opens_again_with_its_memory_kept():
    gate = WindowGate(2.0, window=3, rearm_after=2)
    judge(gate, [1.0, 1.1, 0.9, 5.0])
    assert not gate.active
    remembered = list(gate.values)
    gate.observe(1.0)  # closed: ignored
    gate.rest()
    assert not gate.active
    gate.rest()
    assert gate.active
    assert gate.values == remembered
    assert gate.rested == 0


def test_a_gate_rests_for_good_by_default():
    gate = WindowGate(2.0, window=2)
    judge(gate, [1.0, 1.1, 9.0])
    for _ in range(1000):
        gate.rest()
    assert not gate.active


@pytest.mark.parametrize(
    ("name", "cls", "judged_after"), [("window", WindowGate, 30), ("ema", EmaGate, 2)]
)
def test_make_gate_fills_in_the_sources_values(name, cls, judged_after):
    gate = make_gate(name, 0.5)
    assert type(gate) is cls
    assert gate.min_observations == judged_after
    assert type(make_gate("never", 0.5)) is NeverGate
