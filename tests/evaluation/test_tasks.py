"""The suites' YAMLs through lm-eval alone, as a user without gxpo's commands runs them."""

import json

import pytest
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager
from support.small import ROOT

from gxpo.catalog import benchmarks

TASKS = ROOT / "gxpo" / "evaluation" / "tasks"
SUITES = ["math500", "amc23", "gsm8k", "minerva", "olympiadbench", "aime24", "aime25"]


class HalfRight(LM):
    """Answers 4 to every other request and 5 to the others."""

    def generate_until(self, requests, disable_tqdm=False):
        self.settings = requests[0].args[1]
        self.prompts = [request.args[0] for request in requests]
        return [f"\\boxed{{{4 + i % 2}}}" for i in range(len(requests))]

    def loglikelihood(self, requests):
        pytest.fail("a sampling task asked for likelihoods")

    loglikelihood_rolling = loglikelihood


@pytest.fixture(scope="module")
def manager():
    return TaskManager(include_path=str(TASKS), include_defaults=False)


def test_every_suite_is_there(manager):
    assert sorted(manager.all_tasks) == sorted(["pass_at_1", *(f"gxpo_{s}" for s in SUITES)])


@pytest.mark.parametrize("suite", SUITES)
def test_lm_eval_alone_scores_a_suite(manager, suite, tmp_path, monkeypatch):
    rows = [
        {"id": "a", "problem": "What is 2+2?", "answer": "4"},
        {"id": "b", "problem": "What is 2+4?", "answer": "6"},
    ]
    (tmp_path / f"{suite}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("GXPO_DATA", str(tmp_path))
    lm = HalfRight()
    results = evaluate(lm, manager.load([f"gxpo_{suite}"]))
    score = results["results"][f"gxpo_{suite}"]
    assert score["pass_at_1,samples"] == 0.25  # half of the first problem's, none of the second's
    assert score["pass_at_n,samples"] == 0.5
    entry = benchmarks()[suite]  # whose number of samples YAML has to repeat
    prompts = [entry.template.replace("{problem}", row["problem"]) for row in rows]
    assert lm.prompts == [prompt for prompt in prompts for _ in range(entry.samples)]
    assert lm.settings["do_sample"] is True
    wanted = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}
    assert {key: lm.settings[key] for key in wanted} == wanted
