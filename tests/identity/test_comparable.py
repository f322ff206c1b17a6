"""Cells stand in one table where they were made from the same things; one place decides it."""

import json
import shutil

import pytest
from mlflow.tracking import MlflowClient
from support.fabricate import comparison_config, fabricate
from support.small import run

from gxpo.cells import EVALUATION, RUN, write_json
from gxpo.config import cells, complete_config
from gxpo.identity import incomparable, remarks, survey
from gxpo.results import read_results
from gxpo.results.compare import compare
from gxpo.tracking.importing import import_runs


@pytest.fixture
def config(workdir):
    raw = comparison_config(seeds=(0, 1, 2))
    (workdir / "config.yaml").write_text(json.dumps(raw))
    config = complete_config(raw)
    fabricate(config, lambda cell, benchmark, step: 0.4 + 0.01 * step)
    return config


def change(cell, name, **entries):
    """Change a record of a cell; a__b=value is b in a."""
    file = cell.folder / name
    record = json.loads(file.read_text())
    for key, value in entries.items():
        *path, last = key.split("__")
        place = record
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    write_json(file, record)


def of_label(config, label):
    return [cell for cell in cells(config) if cell.label == label]


DIFFERENCES = {
    "weights": (RUN, {"inputs__weights": "b" * 64}, "the model's weights are others"),
    "tokenizer": (RUN, {"inputs__tokenizer": "b" * 64}, "the model's tokenizer files are others"),
    "stops": (RUN, {"sampling": {"stops": [1]}}, "sampling.stops: [1], the others' not recorded"),
    "precision": (
        RUN,
        {"numerics": {"mixed_precision": "bf16"}},
        "numerics.mixed_precision: bf16, the others' not recorded",
    ),
    "prompt": (RUN, {"prompts_sha256": "c" * 64}, "training prompt: cccccccccccc, the others' not"),
    "torch": (RUN, {"versions__torch": "2.14.0"}, "torch 2.14.0, the others' 2.13.0"),
}


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_a_cell_of_something_else_is_left_out_with_the_first_difference(config, kind):
    for cell in cells(config):
        change(cell, RUN, inputs__weights="a" * 64, inputs__tokenizer="a" * 64)
    name, entries, words = DIFFERENCES[kind]
    change(of_label(config, "fast")[1], name, **entries)
    results = read_results(config)
    (left_out,) = results.left_out.itertuples(index=False)
    assert left_out[:4] == ("tiny", "fast", 1, "not comparable")
    assert left_out.reason.startswith(words)
    seeds = results.scores.groupby("label")["seed"].unique().map(sorted).to_dict()
    assert seeds == {"base": [0, 1, 2], "fast": [0, 2]}


def test_benchmarks_of_other_problems_are_another_difference(config):
    (cell, *_) = of_label(config, "base")
    change(cell, EVALUATION, problems__words="d" * 64)
    # synthetic problems can be looked up here: it is not what is asked for
    assert survey(cells(config))[0] == ("outdated", "the problems of words are others")


def test_of_two_groups_the_larger_stays_and_of_equals_the_baselines(config):
    for cell in of_label(config, "fast"):
        change(cell, RUN, inputs__weights="b" * 64)
    for cell in of_label(config, "base"):
        change(cell, RUN, inputs__weights="a" * 64)
    left_out = read_results(config).left_out
    assert left_out["label"].tolist() == ["fast"] * 3
    assert "bbbbbbbbbbbb, the others' aaaaaaaaaaaa" in left_out["reason"][0]
    change(of_label(config, "base")[0], RUN, inputs__weights="b" * 64)
    assert read_results(config).left_out["label"].tolist() == ["base"] * 2


def test_last_digits_are_a_remark_and_no_reason(config):
    cell = of_label(config, "fast")[0]
    change(cell, RUN, versions__torch="2.13.1", hardware__processor="another", git_commit="0" * 40)
    results = read_results(config)
    assert results.left_out.empty
    assert results.remarks == [
        "tiny: code commit: 0123456789abcdef0123456789abcdef01234567 (5 cells), "
        "0000000000000000000000000000000000000000 (1 cell)",
        "tiny: processor: made up (5 cells), another (1 cell)",
        "tiny: versions: python 3.11.7, torch 2.13.0 (5 cells), python 3.11.7, torch 2.13.1 "
        "(1 cell)",
    ]
    assert not results.seconds_compare


def test_all_that_prints_a_comparison_says_so(config, workdir, monkeypatch, capsys):
    for cell in of_label(config, "base"):
        change(cell, RUN, inputs__weights="a" * 64)
    for cell in of_label(config, "fast"):
        change(cell, RUN, inputs__weights="b" * 64)
    line = "not comparable, left out: tiny/fast seed 0: the model's weights are others"
    for command, code in (("tables", 3), ("claims", 3), ("status", 3), ("report", 0)):
        assert run(monkeypatch, command, "config.yaml") == code, command
        assert line in capsys.readouterr().err
    tables = (workdir / "results/test/tables/tables.md").read_text()
    assert "Not comparable: cells with results of something else" in tables
    assert "bbbbbbbbbbbb, the others' aaaaaaaaaaaa" in tables
    page = (workdir / "results/test/report.html").read_text()
    assert "bbbbbbbbbbbb, the others&#39; aaaaaaaaaaaa" in page
    with pytest.raises(Exception, match=r"tiny/fast/0: the model's weights are others"):
        compare(config, "fast", "base")


def test_a_run_in_mlflow_is_marked_and_unmarked(config, workdir, capsys):
    database = workdir / "mlflow.db"
    assert import_runs(config, database) == 6
    cell = of_label(config, "fast")[0]
    before = (cell.folder / RUN).read_bytes()
    change(cell, RUN, sampling__temperature=0.5)
    import_runs(config, database)
    assert f"not imported: {cell.folder}: sampling.temperature: 0.5" in capsys.readouterr().err
    client = MlflowClient(f"sqlite:///{database}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "test"]

    def marked():
        runs = client.search_runs([experiment.experiment_id])
        return [r.data.tags["not_comparable"] for r in runs if "not_comparable" in r.data.tags]

    assert [words.startswith("sampling.temperature: 0.5") for words in marked()] == [True]
    (cell.folder / RUN).write_bytes(before)
    import_runs(config, database)
    assert marked() == []


def test_nothing_is_compared_where_nothing_has_finished(workdir):
    assert incomparable([]) == {}
    assert remarks([]) == []
    assert survey([]) == []


def test_results_copied_into_a_fresh_place_are_finished(config, workdir, tmp_path_factory):
    target = tmp_path_factory.mktemp("clone")
    shutil.copytree(workdir / "results", target / "results")  # with times of now
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(target)
        assert {found.state for found in survey(cells(config))} == {"finished"}
