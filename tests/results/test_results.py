"""Which runs count as results of a configuration: those of its settings alone."""

import json

import pandas as pd
import pytest
from support.fabricate import comparison_config, fabricate, sign_evaluation, write_evaluation

from gxpo.cells import EVALUATION, METRICS, RUN, SCORES
from gxpo.config import cells, complete_config
from gxpo.identity import read_run, status
from gxpo.results import read_results
from gxpo.tracking.importing import import_runs

LABELS = {"base": {"method": "grpo"}, "fast": {"method": "gxpo", "k": 5}}


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"k": 3}, "method.k is 5 there, 3 here"),
        ({"learning_rate": 3e-5}, "train.learning_rate is 1e-06 there, 3e-05 here"),
        ({"method": "sfpo", "k": 5}, "the method's file (or its package's version) is another"),
    ],
)
def test_a_run_of_other_settings_is_no_result(workdir, change, said):
    fabricate(configured(), curve)
    changed = configured(labels=LABELS | {"fast": LABELS["fast"] | change})
    other = f"fast outdated {said}"
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
    stale = 'outdated sets.late.problems is not set there, "synthetic/test" here'
    assert states(more) == ["base finished", f"base {stale}", f"fast {stale}", f"fast {stale}"]
    assert status(cells(configured())[0]).state == "outdated"  # and without it again


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("max_completion_length", 8, "max_completion_length is 16 there, 8 here"),
        ("benchmarks.words.limit", 24, "sets.words.limit is 25 there, 24 here"),
        ("benchmarks.words.samples", 2, "sets.words.samples is 4 there, 2 here"),
        (
            *("benchmarks.words.template", "Q: {problem}"),
            'sets.words.template is "{problem}" there, "Q: {problem}" here',
        ),
        (
            *("selection.problems", "synthetic/train"),
            'sets.selection.problems is "synthetic/selection" there, "synthetic/train" here',
        ),
        ("backend", "vllm", 'backend is "hf" there, "vllm" here'),
    ],
)
def test_scores_drawn_otherwise_are_no_result(workdir, key, value, said):
    config = configured()
    fabricate(config, curve)
    *folders, last = key.split(".")
    changed = comparison_config(labels=LABELS, seeds=(0, 1))
    place = changed["evaluate"]
    for folder in folders:
        place = place[folder]
    place[last] = value
    expected = {f"base outdated {said}", f"fast outdated {said}"}
    assert set(states(complete_config(changed))) == expected
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
    sign_evaluation(second)
    earlier = "an earlier version of the suite made it, which did not record what it was made from"
    assert [(found.state, found.reason) for found in map(status, cells(config))] == [
        ("outdated", "evaluation.json is not readable"),
        ("outdated", f"{SCORES} lacks step 4 of hard"),
        *[("finished", "")] * 2,
    ]
    (third.folder / RUN).write_text(json.dumps({"checkpoints": [0, 8]}))  # by no version of ours
    assert status(third) == ("outdated", earlier)


@pytest.mark.parametrize("name", [SCORES, METRICS, "problems.parquet"])
def test_a_file_changed_by_hand_is_no_result(workdir, name):
    config = configured()
    fabricate(config, curve)
    first = cells(config)[0]
    content = (first.folder / name).read_bytes()
    (first.folder / name).write_bytes(content + b"\n")
    assert status(first) == ("outdated", f"{name} is not as it was written")
    (first.folder / name).write_bytes(content)
    assert status(first).state == "finished"
    (first.folder / name).unlink()
    assert status(first).state in ("outdated", "missing")
