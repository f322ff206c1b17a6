"""Which runs count as results of a configuration: those of its settings alone."""

import json

import pandas as pd
import pytest
from support.fabricate import comparison_config, fabricate, write_evaluation

from gxpo.cells import EVALUATION, RUN, SCORES, read_run
from gxpo.cells.status import status
from gxpo.config import cells, complete_config
from gxpo.results import read_results
from gxpo.tracking.importing import import_runs

LABELS = {"base": {"method": "grpo"}, "fast": {"method": "gxpo", "k": 5}}
STRANGE = "with these settings"


def configured(labels=LABELS, **sets):
    return complete_config(comparison_config(labels=labels, seeds=(0, 1), **sets))


def curve(cell, benchmark, step):
    return 0.4 + 0.01 * step


def states(config):
    frame = read_results(config).cells
    return [f"{row.label} {row.state} {row.reason}".strip() for row in frame.itertuples()]


def test_runs_of_these_settings_are_results(workdir):
    config = configured()
    fabricate(config, curve)
    assert states(config) == ["base finished", "base finished", "fast finished", "fast finished"]
    assert read_run(cells(config)[0])["versions"]["torch"] == "2.13.0"


def test_what_is_redacted_in_the_record_is_recognised(workdir, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-method-of-this-name")
    config = configured(LABELS | {"a-method-of-this-name": {"method": "gxpo"}})
    fabricate(config, curve)
    assert set(read_results(config).cells["state"]) == {"finished"}


@pytest.mark.parametrize("change", [{"k": 3}, {"learning_rate": 3e-5}, {"method": "sfpo", "k": 5}])
def test_a_run_of_other_settings_is_no_result(workdir, change):
    fabricate(configured(), curve)
    changed = configured(labels=LABELS | {"fast": LABELS["fast"] | change})
    other = f"fast missing not trained {STRANGE} ({RUN} is of others)"
    assert states(changed) == ["base finished", "base finished", other, other]
    results = read_results(changed)
    assert set(results.scores["label"]) == {"base"}
    assert results.cells["run"].map(bool).tolist() == [True, True, False, False]  # nor an origin
    assert import_runs(changed, workdir / "mlflow.db") == 2


def test_a_benchmark_more_waits_for_every_cell(workdir):
    """Else the average of one label would be over other benchmarks than that of the next."""
    fabricate(configured(), curve)
    more = configured(late={"problems": "synthetic/test", "limit": 25, "samples": 4, "at": "last"})
    first, *_ = cells(more)
    write_evaluation(first, curve, [0, 2, 4, 6, 8])
    stale = f"missing not evaluated {STRANGE} ({SCORES} is of others)"
    assert states(more) == ["base finished", f"base {stale}", f"fast {stale}", f"fast {stale}"]
    assert status(cells(configured())[0])[0] == "missing"  # and without it again


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_completion_length", 8),
        ("benchmarks.words.limit", 24),
        ("benchmarks.words.samples", 2),
        ("benchmarks.words.template", "Q: {problem}"),
        ("selection.problems", "synthetic/train"),
        ("backend", "vllm"),
    ],
)
def test_scores_drawn_otherwise_are_no_result(workdir, key, value):
    config = configured()
    fabricate(config, curve)
    *folders, last = key.split(".")
    changed = comparison_config(labels=LABELS, seeds=(0, 1))
    place = changed["evaluate"]
    for folder in folders:
        place = place[folder]
    place[last] = value
    stale = f"missing not evaluated {STRANGE} ({SCORES} is of others)"
    assert set(states(complete_config(changed))) == {f"base {stale}", f"fast {stale}"}
    config["evaluate"]["batch_size"] = 3  # no sample depends on it
    assert set(read_results(config).cells["state"]) == {"finished"}


def test_scores_without_settings_or_of_other_checkpoints_are_no_result(workdir):
    config = configured()
    fabricate(config, curve)
    first, second, third, _ = cells(config)
    (first.folder / EVALUATION).write_text("{}")
    file = second.folder / SCORES
    scores = pd.read_csv(file)
    scores[scores["step"] != 4].to_csv(file, index=False)
    assert [status(cell)[0] for cell in cells(config)] == [*["missing"] * 2, *["finished"] * 2]
    (third.folder / RUN).write_text(json.dumps({"checkpoints": [0, 8]}))  # by no version of ours
    assert status(third)[0] == "missing"
