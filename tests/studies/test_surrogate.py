"""GXPO's prediction of theta_K: exact where it should be, elsewhere of the order theory says."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from support.small import run, small_config

from gxpo.config import complete_config, get_cell
from gxpo.host import UserError
from gxpo.studies.surrogate import study
from gxpo.studies.surrogate.measure import sweep_problem
from gxpo.studies.surrogate.problems import Problem, problems, quadratic, separable
from gxpo.studies.surrogate.report import orders

SMALL = [2.0**-12, 2.0**-10, 2.0**-8]


def errors(problem, kind, ks, fractions, prediction):
    table = pd.DataFrame(sweep_problem(problem, kind, ks, fractions))
    return table[table["prediction"] == prediction].assign(varied="lr")


@pytest.mark.parametrize("condition", [10.0, 1e4])
def test_exact_on_diagonal_quadratics_up_to_the_upper_clip(condition):
    problem = quadratic("diagonal", condition, 0.0)
    found = errors(problem, "sgd", [2, 3, 5, 10], [2.0**-6, 0.5, 1.0, 1.5], "gradient")
    assert len(found) == 16
    assert found["relative_error"].max() < 1e-12
    # At lr h = 1.9, r = -0.9 and odd K wants a scale beyond K/2 + 1; for even K it stays below.
    beyond = errors(problem, "sgd", [5, 10], [1.9], "gradient")["relative_error"].tolist()
    assert beyond[0] > 0.1
    assert beyond[1] < 1e-12


def test_k_2_is_always_exact():
    for problem in problems():
        found = errors(problem, "adamw", [2], [0.1], "update")
        assert found["absolute_error"].item() < 1e-12


@pytest.mark.parametrize("k", [3, 10])
@pytest.mark.parametrize("problem", problems()[2:], ids=lambda problem: problem.name)
def test_elsewhere_the_error_under_sgd_is_third_order_relative_second(problem, k):
    found = orders(errors(problem, "sgd", [k], SMALL, "gradient"))
    assert not found["exact"].item()
    assert found["order"].item() == pytest.approx(3, abs=0.1)
    assert found["relative_order"].item() == pytest.approx(2, abs=0.1)
    linear = orders(errors(problem, "sgd", [k], SMALL, "linear"))
    assert linear["relative_order"].item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("prediction", ["gradient", "update", "linear"])
def test_under_adamw_every_prediction_is_first_order_relative(prediction):
    """Bias-corrected moments are no geometric series: even update space gains no order."""
    found = orders(errors(separable(), "adamw", [5], SMALL, prediction))
    assert found["relative_order"].item() == pytest.approx(1, abs=0.1)


def test_the_leading_error_of_a_cubic_by_hand():
    """One dimension, K = 3, third derivative c: g_2 - g_1^2/g_0 = c eta^2 g_0^2 + O(eta^3), so
    that theta_3 is off by c eta^3 g_0^2. Here L = x^2/2 + c x^3/6."""
    c, x, eta = 0.5, 1.3, 1e-4
    start = torch.tensor([x], dtype=torch.float64)
    cubic = Problem("cubic", start, lambda t: (t**2 / 2 + c * t**3 / 6).sum(), 1.0)
    found = errors(cubic, "sgd", [3], [eta], "gradient")["absolute_error"].item()
    g_0 = x + c * x**2 / 2
    assert found == pytest.approx(c * eta**3 * g_0**2, rel=1e-2)


def test_first_order_in_the_coupling():
    table = study.closed_form_errors([5], [], [2.0**-12, 2.0**-10, 2.0**-8])
    assert set(table["varied"]) == {"coupling"}
    found = orders(table).set_index("prediction")
    assert found["order"]["gradient"] == pytest.approx(1, abs=0.05)
    assert found["order"]["linear"] == pytest.approx(0, abs=0.05)


def test_table_and_figure_of_closed_forms(workdir):
    table = study.closed_form_errors([5], [2.0**-10, 2.0**-8, 2.0**-5], [2.0**-9, 2.0**-8])
    files = study.write(table, "test")
    assert [file.name for file in files] == [f"surrogate.{k}" for k in ("csv", "md", "png", "pdf")]
    assert all(file.stat().st_size > 500 for file in files)
    csv = pd.read_csv(files[0])
    adamw = csv[csv["optimizer"] == "adamw"]
    assert set(adamw["prediction"]) == {"gradient", "update", "linear"}
    page = files[1].read_text()
    row = next(line for line in page.splitlines() if line.startswith("| diagonal quadratic"))
    assert row.count("exact") == 2  # error and order
    assert "from 9.8e-04 to 3.9e-03" in page


def test_a_policy_is_measured_and_left_alone(tiny_policy, workdir):
    from gxpo.studies.surrogate.policy import sweep_policy

    raw = small_config(tiny_policy)
    raw["train"] |= {"completions_per_step": 64, "num_generations": 8, "learning_rate": 1e-4}
    raw["train"]["format_reward"] = 0.1
    config = complete_config(raw)
    cell = get_cell(config, "tiny", "grpo", 0)
    table = pd.DataFrame(sweep_policy(cell, [2, 3], [2.0**-6]))
    assert set(table["optimizer"]) == {"sgd", "adamw", "adamw, warm"}
    assert len(table) == 2 * (2 + 3 + 3)
    # parameters and moments were put back after every measurement: K = 2 predicts nothing
    two = table[(table["k"] == 2) & (table["prediction"] != "update")]
    assert two["absolute_error"].max() < 1e-12
    three = table[table["k"] == 3]
    assert three["relative_error"].between(1e-9, 0.5).all()
    assert three["cosine"].min() > 0.8
    adamw = table[table["optimizer"] == "adamw"]
    assert (adamw["lr"] == config["train"]["learning_rate"] * 2.0**-6).all()


def test_without_the_model_the_command_that_makes_it_is_named(workdir, monkeypatch, capsys):
    raw = small_config(workdir, models={"tiny": {"architecture": "qwen2"}})
    Path("config.yaml").write_text(yaml.safe_dump(raw))
    assert run(monkeypatch, "surrogate", "config.yaml") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "gxpo warmstart CONFIG --model tiny" in error


def test_a_zero_gradient_predicts_nothing():
    flat = Problem("flat", separable().start, lambda theta: 0 * theta.sum(), 1.0)
    with pytest.raises(UserError, match="nothing to extrapolate"):
        sweep_problem(flat, "sgd", [3], [0.1])
