"""The chosen checkpoint, every seed, and errors over problems, on made-up runs."""

import math

import numpy as np
import pandas as pd
import pytest
from support.fabricate import comparison_config, fabricate, sign_evaluation

from gxpo.cells import PROBLEM_SCORES
from gxpo.config import complete_config, get_cell
from gxpo.results import read_results
from gxpo.results.tables.suite_accuracy import accuracy, accuracy_seeds, differences


@pytest.fixture
def config(workdir):
    return complete_config(comparison_config())


def peaked(cell, benchmark, step):
    """Selection is best at step 4; benchmarks are .5 there, .4 elsewhere; fast is .1 above."""
    if benchmark == "selection":
        return 0.6 if step == 4 else 0.3
    return (0.5 if step == 4 else 0.4) + 0.1 * (cell.label == "fast") + 0.01 * cell.seed


def row_of(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    (row,) = frame.to_dict("records")
    return row


def test_the_last_and_the_chosen_checkpoint(config):
    fabricate(config, peaked, active={"fast": 2})
    frame = accuracy(read_results(config)).frame
    chosen = row_of(frame, label="base", benchmark="words", checkpoint="chosen")
    assert chosen["pass_at_1"] == pytest.approx(0.51)
    last = row_of(frame, label="base", benchmark="words", checkpoint="last")
    assert last["pass_at_1"] == pytest.approx(0.41)
    fast = row_of(frame, label="fast", benchmark="average", checkpoint="chosen")
    assert (fast["active_fraction"], fast["pass_at_1"]) == (0.25, pytest.approx(0.61))


def test_every_seed_with_its_step(config):
    fabricate(config, peaked)
    table = accuracy_seeds(read_results(config))
    row = row_of(table.frame, label="base", seed=2, checkpoint="chosen", benchmark="hard")
    assert (row["step"], row["pass_at_1"]) == (4, pytest.approx(0.52))
    shown = row_of(table.shown, label="fast", checkpoint="last")
    assert [shown[f"seed {i}"] for i in range(3)] == ["50.0", "51.0", "52.0"]


def test_a_seed_that_is_missing_is_a_dash(config):
    fabricate(
        config,
        lambda c, b, s: None if (c.label, c.seed) == ("fast", 1) else peaked(c, b, s),
    )
    shown = row_of(accuracy_seeds(read_results(config)).shown, label="fast", checkpoint="last")
    assert [shown[f"seed {i}"] for i in range(3)] == ["50.0", "–", "52.0"]


def test_errors_over_problems_are_paired_and_averaged_over_seeds(config):
    """Answers drawn problem by problem; the table's error against the definition, spelled out."""
    fabricate(config, peaked)
    rng = np.random.default_rng(0)
    drawn = {}
    for label in ("base", "fast"):
        for seed in (0, 1, 2):
            file = get_cell(config, "tiny", label, seed).folder / PROBLEM_SCORES
            frame = pd.read_parquet(file)
            frame["correct"] = rng.integers(0, 5, len(frame))
            frame.sample(frac=1, random_state=seed).to_parquet(file, index=False)  # in any order
            sign_evaluation(get_cell(config, "tiny", label, seed))
            drawn[label, seed] = frame.set_index(["step", "benchmark", "problem"])["correct"] / 4
    frame = differences(read_results(config)).frame
    errors = {}
    for benchmark in ("words", "hard"):
        for checkpoint, step in (("last", 8), ("chosen", 4)):
            pairs = [(drawn["fast", s] - drawn["base", s])[step][benchmark] for s in range(3)]
            mean = sum(pairs) / 3
            errors[benchmark, checkpoint] = mean.std(ddof=1) / math.sqrt(25)
            row = row_of(frame, benchmark=benchmark, checkpoint=checkpoint)
            assert row["problem_se"] == pytest.approx(errors[benchmark, checkpoint])
    average = row_of(frame, benchmark="average", checkpoint="last")
    both = math.hypot(errors["words", "last"], errors["hard", "last"])
    assert average["problem_se"] == pytest.approx(both / 2)
    assert average["difference"] == pytest.approx(0.1)
