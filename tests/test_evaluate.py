"""Evaluation: repeatable, paired between methods, and true to its single samples."""

import gzip
import json

import pandas as pd
import pytest
from conftest import small_config

from gxpo.config import complete_config, get_cell
from gxpo.errors import CellError
from gxpo.evaluate import evaluate, sampling_seed
from gxpo.runs import write_json
from gxpo.tasks.scoring import process_results


@pytest.fixture
def cell(tiny_policy, workdir):
    """A 'trained' cell whose only checkpoint is the initial policy."""
    config = complete_config(small_config(tiny_policy))
    cell = get_cell(config, "tiny", "grpo", 0)
    cell.folder.mkdir(parents=True)
    write_json(cell.folder / "run.json", {"checkpoints": [0]})
    return cell


def read_samples(cell):
    with gzip.open(cell.folder / "samples.jsonl.gz", "rt") as lines:
        return pd.DataFrame([json.loads(line) for line in lines])


def test_scores_follow_from_the_samples_and_a_repeat_is_identical(cell):
    evaluate(cell)
    scores = pd.read_csv(cell.folder / "scores.csv").set_index("benchmark")
    samples = read_samples(cell)
    assert list(scores.index) == ["words", "selection"]
    assert scores.loc["words", ["problems", "samples"]].tolist() == [12, 3]
    assert len(samples) == 12 * 3 + 8 * 2
    for benchmark, rows in samples.groupby("benchmark"):
        per_problem = rows.groupby("problem")["correct"]
        means = per_problem.mean()
        score = scores.loc[benchmark]
        assert score["pass_at_1"] == pytest.approx(means.mean())
        assert score["pass_at_n"] == pytest.approx(per_problem.any().mean())
        # clustered by problem: the spread of the problems' means
        assert score["pass_at_1_se"] == pytest.approx(means.sem())
    evaluate(cell)
    pd.testing.assert_frame_equal(read_samples(cell), samples)


def test_samples_of_a_problem_differ(cell):
    """Sampling, not greedy decoding repeated."""
    evaluate(cell)
    samples = read_samples(cell)
    distinct = samples.groupby(["benchmark", "problem"])["completion"].nunique()
    assert distinct.max() > 1


def test_sampling_is_unrestricted(cell, monkeypatch):
    from transformers import GenerationMixin

    seen = []
    generate = GenerationMixin.generate

    def spy(self, *args, **kwargs):
        seen.append(kwargs)
        return generate(self, *args, **kwargs)

    monkeypatch.setattr(GenerationMixin, "generate", spy)
    evaluate(cell)
    for kwargs in seen:
        assert kwargs["do_sample"] is True
        assert (kwargs["temperature"], kwargs["top_k"], kwargs["top_p"]) == (1.0, 0, 1.0)
        assert kwargs["repetition_penalty"] == 1.0


def test_seeds_pair_methods_and_separate_everything_else():
    seeds = {sampling_seed(s, step, b) for s in (0, 1) for step in (0, 5) for b in ("a", "b")}
    assert len(seeds) == 8
    assert sampling_seed(0, 5, "a") == sampling_seed(0, 5, "a")


def test_a_missing_checkpoint_fails_the_cell(cell):
    write_json(cell.folder / "run.json", {"checkpoints": [0, 2]})
    with pytest.raises(CellError, match=r"checkpoint-2 is missing"):
        evaluate(cell)
    assert not (cell.folder / "scores.csv").exists()


def test_process_results():
    doc = {"answer": "4"}
    result = process_results(doc, [["####4", "####5", "####4", "nothing"]])
    assert result == {"pass_at_1": 0.5, "pass_at_n": 1.0}
    assert process_results(doc, [["5"]]) == {"pass_at_1": 0.0, "pass_at_n": 0.0}
