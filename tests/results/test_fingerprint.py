"""``gxpo fingerprint``: what two runs share, and where they part."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from support.fabricate import comparison_config, fabricate, run_record
from support.small import run

from gxpo.cells import METRICS, RUN, SAMPLES, sample_member, write_json
from gxpo.config import cells, complete_config
from gxpo.host import UserError
from gxpo.identity import training_inputs
from gxpo.results import read_results
from gxpo.results.fingerprint import fingerprint, first_differences


@pytest.fixture
def config(workdir):
    Path("config.yaml").write_text(yaml.safe_dump(comparison_config(seeds=(0, 1))))
    return complete_config(comparison_config(seeds=(0, 1)))


def finish(config, **costs):
    fabricate(config, lambda cell, name, step: 0.2 + 0.02 * step + 0.04 * cell.seed, **costs)
    for cell in cells(config):
        rows = [{"step": 0, "benchmark": "words", "problem": "a", "sample": 0, "completion": "1"}]
        (cell.folder / SAMPLES).write_bytes(sample_member(rows))
        write_json(
            cell.folder / RUN, run_record(cell, [0, 2, 4, 6, 8]) | {"inputs": inputs_of(cell)}
        )


def inputs_of(cell):
    return training_inputs(cell) | {"weights": "c" * 64}


def of(config):
    return fingerprint(read_results(config))


def test_the_same_run_has_the_same_fingerprint_whatever_it_took(config):
    finish(config)
    once = of(config)
    finish(config, seconds_per_step={"base": 3.0, "fast": 5.0})
    assert first_differences(once, of(config)) == []


def test_a_difference_is_named_by_step_and_column(config):
    finish(config)
    before = of(config)
    cell = cells(config)[1]
    lines = (cell.folder / METRICS).read_text().splitlines()
    changed = json.loads(lines[4]) | {"reward": 0.5000001}
    (cell.folder / METRICS).write_text(
        "\n".join([*lines[:4], json.dumps(changed), *lines[5:]]) + "\n"
    )
    write_json(cell.folder / RUN, run_record(cell, [0, 2, 4, 6, 8]) | {"inputs": inputs_of(cell)})
    (line,) = first_differences(before, of(config))
    assert line == "tiny/base/seed1: its rows from step 5 on, columns that differ: reward"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f["policies"].update(tiny="0"), "the policy tiny (warm start): its weights"),
        (lambda f: f.update(torch="1.0"), "torch: 1.0 here"),
        (lambda f: f["cells"]["tiny/fast/seed0"].update(counts="0"), "tiny/fast/seed0: its counts"),
        (lambda f: f["cells"].pop("tiny/fast/seed0"), "tiny/fast/seed0: is not in both"),
        (lambda f: f["tables"].update(suite_accuracy="0"), "table suite_accuracy"),
        (
            lambda f: f["cells"]["tiny/fast/seed1"].update(weights={"8": "0"}),
            "tiny/fast/seed1: the weights of its checkpoint 8",
        ),
    ],
)
def test_every_part_is_compared(config, change, words):
    finish(config)
    published = of(config)
    published["cells"]["tiny/fast/seed1"]["weights"] = {"8": "1"}
    here = copy.deepcopy(published)
    change(here)
    (line,) = first_differences(published, here)
    assert line.startswith(words)


def test_the_command_says_whether_it_is_the_published_one(config, monkeypatch, capsys):
    finish(config)
    assert run(monkeypatch, "fingerprint", "config.yaml") == 0
    printed = capsys.readouterr().out
    Path("lock.yaml").write_text(printed)
    assert run(monkeypatch, "fingerprint", "config.yaml", "--against", "lock.yaml") == 0
    assert capsys.readouterr().out == "test: the same as published, bit for bit\n"
    other = yaml.safe_load(printed)
    other["cells"]["tiny/base/seed0"]["steps"][2] = "0"
    Path("lock.yaml").write_text(yaml.safe_dump(other))
    assert run(monkeypatch, "fingerprint", "config.yaml", "--against", "lock.yaml") == 1
    assert "tiny/base/seed0: its rows from step 3 on" in capsys.readouterr().out


def test_an_unfinished_run_has_none(config):
    fabricate(config, lambda cell, name, step: None if cell.seed else 0.2)
    with pytest.raises(UserError, match=r"of a whole run: tiny/base seed 1 is missing"):
        of(config)


def test_a_file_that_is_none_is_refused(config, monkeypatch, capsys):
    finish(config)
    Path("other.yaml").write_text("name: demo\n")
    assert run(monkeypatch, "fingerprint", "config.yaml", "--against", "other.yaml") == 2
    assert "other.yaml is not what `gxpo fingerprint` prints" in capsys.readouterr().err
