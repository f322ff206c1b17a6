"""A reward of one's own: the file, what it returns, what a cell makes of it."""

import hashlib
import json
import math
import shutil
from pathlib import Path

import pytest
from support.small import small_config

import gxpo.training.cell as training
from gxpo.cells import read_rows
from gxpo.config import complete_config, get_cell
from gxpo.host import UserError
from gxpo.identity import first_difference, identity_of, read_run, training_inputs
from gxpo.training.rewards import own_reward, reward_functions, reward_weights

ODD = """
def reward(completions, answers):
    return [float(len(c) % 2) for c in completions]
"""


def cell_of(policy, **train):
    raw = small_config(policy)
    raw["train"] |= {"steps": 2, **train}
    return get_cell(complete_config(raw), "tiny", "grpo", 0)


def called(text, completions=("a", "bb"), prompts=("p", "q")):
    Path("mine.py").write_text(text)
    return own_reward("mine.py")(
        completions=list(completions), answer=["1", "2"], prompts=list(prompts), trainer_state=None
    )


def test_it_gets_text_by_name_and_no_more_than_it_asks_for(workdir):
    chat = [[{"role": "assistant", "content": "a"}], [{"role": "assistant", "content": "bb"}]]
    asked = [[{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]] * 2
    text = """
def reward(answers, prompts, completions):
    open("seen", "w").write(repr([answers, prompts, completions]))
    return [1, True]
"""
    assert called(text, chat, asked) == [1.0, 1.0]
    assert Path("seen").read_text() == "[['1', '2'], ['p', 'p'], ['a', 'bb']]"
    assert called(ODD) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return [1.0]", r"mine\.py: reward\(\) returned 1 rewards for 2 completions"),
        ("return 1.0", r"mine\.py: reward\(\) must return a list of numbers, not 1\.0"),
        ("return [1.0, None]", r"returned None for completion 1: a finite number is needed"),
        ("return ['1', 1]", r"returned '1' for completion 0"),
        ("return [0.0, float('nan')]", r"returned nan for completion 1"),
        ("return [0.0, float('inf')]", r"returned inf for completion 1"),
        ("return 1 / 0", r"mine\.py: reward\(\) raised ZeroDivisionError: .* \(.*mine\.py:2\)"),
        ("raise SystemExit(3)", r"mine\.py: reward\(\) raised SystemExit: 3 \(.*mine\.py:2\)"),
    ],
)
def test_what_is_no_reward_is_one_line_that_names_the_file(workdir, body, said):
    with pytest.raises(UserError, match=said) as refused:
        called(f"def reward(completions):\n    {body}\n")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere", r"mine\.py cannot be imported: ModuleNotFoundError: .*mine\.py:1\)"),
        ("x =", r"mine\.py cannot be imported: SyntaxError: .*mine\.py:1\)"),
        ("def pay(completions): ...", "must define a plain function reward"),
        ("async def reward(completions): ...", "must define a plain function reward"),
        ("def reward(completions, gold): ...", r"asks for 'gold': there are completions, answers"),
        ("def reward(answers): ...", "does not take completions"),
    ],
)
def test_a_file_that_cannot_be_called_is_refused_with_the_configuration(
    tiny_policy, workdir, text, said
):
    Path("mine.py").write_text(text)
    with pytest.raises(UserError, match=rf"config: train\.reward: .*{said}"):
        cell_of(tiny_policy, reward="mine.py")


def test_a_file_that_is_not_there_is_refused_with_the_configuration(tiny_policy, workdir):
    with pytest.raises(UserError, match=r"train\.reward: reward 'mine\.py': there is no such"):
        cell_of(tiny_policy, reward="mine.py")


@pytest.mark.parametrize("weight", [0.0, 0.5])
@pytest.mark.parametrize("own", [None, "mine.py"])
def test_there_is_a_weight_for_every_reward(workdir, own, weight):
    Path("mine.py").write_text(ODD)
    names = [f.__name__ for f in reward_functions(own, weight)]
    weights = dict(zip(names, reward_weights(own, weight) or [1.0], strict=True))
    assert weights.get("reward", 0.0) == (1.0 if own else 0.0)
    assert weights["correct"] == (0.0 if own else 1.0)
    assert weights.get("boxed_once", 0.0) == weight


def test_a_cell_is_paid_by_the_file_and_still_knows_its_pass_at_1(tiny_policy, workdir):
    Path("mine.py").write_text(
        "def reward(completions, answers):\n    return [2.5 * (i % 2) for i in range(16)]\n"
    )
    cell = cell_of(tiny_policy, reward="mine.py")
    training.train(cell)
    rows = read_rows(cell.folder / "metrics.jsonl")
    assert [row["reward"] for row in rows] == [1.25, 1.25]
    assert [row["zero_advantage"] for row in rows] == [0, 0]
    assert all(0 <= row["pass_at_1"] < 1 and row["pass_at_1"] * 16 % 1 == 0 for row in rows)
    run = json.loads((cell.folder / "run.json").read_text())
    source = Path("mine.py").read_bytes()
    assert run["inputs"]["reward"] == hashlib.sha256(source).hexdigest()
    assert run["cell"]["train"]["reward"] == "mine.py"


def test_another_content_of_the_file_is_another_run(tiny_policy, workdir):
    Path("mine.py").write_text(ODD)
    cell = cell_of(tiny_policy, reward="mine.py")
    first = training_inputs(cell)
    shutil.copy("mine.py", "yours.py")
    moved = training_inputs(cell_of(tiny_policy, reward="yours.py"))
    assert first_difference(first, moved) is None
    Path("mine.py").write_text(ODD + "\n")
    said = "what completions are paid for is another"
    assert first_difference(first, training_inputs(cell)) == said
    assert first_difference(first, training_inputs(cell_of(tiny_policy))) == said


class Reporter:
    """In the place of W&B: what a logger is told."""

    told: list = []  # noqa: RUF012


@pytest.fixture
def wandb(monkeypatch):
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    Reporter.told = []

    class Fake(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            Reporter.told.append(dict(logs))

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "wandb", Fake)
    monkeypatch.setattr(
        integration_utils, "get_available_reporting_integrations", lambda: ["wandb"]
    )
    return Reporter


def test_a_logger_gets_the_log_and_changes_no_number(tiny_policy, workdir, monkeypatch, wandb):
    ends = []
    for place, loggers in (("with", ["wandb"]), ("without", [])):
        (workdir / place).mkdir()
        monkeypatch.chdir(workdir / place)
        cell = cell_of(tiny_policy, report_to=loggers)
        training.train(cell)
        rows = [
            {k: v for k, v in row.items() if not k.endswith("seconds")}
            for row in read_rows(cell.folder / "metrics.jsonl")
        ]
        weights = cell.folder / "state" / "checkpoint-2" / "model.safetensors"
        ends.append((rows, weights.read_bytes(), identity_of(cell, training_inputs(cell))))
    assert ends[0] == ends[1]
    steps = [told for told in wandb.told if "reward" in told]
    assert [told["cost/backward_passes"] for told in steps] == [1, 2]
    assert all(math.isfinite(told["step_time"]) for told in steps)
    assert read_run(cell_of(tiny_policy, report_to=["wandb"]))  # trained without, and the same


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["wandb", "tensorboard"], "tensorboard is not installed: pip install tensorboard"),
        (["tensorbord"], "unknown logger 'tensorbord', transformers knows .*tensorboard"),
        (["all"], "unknown logger 'all'"),
        (["mlflow"], "MLflow needs no entry"),
    ],
)
def test_a_logger_that_cannot_log_is_refused_before_anything_runs(
    tiny_policy, workdir, wandb, names, said
):
    with pytest.raises(UserError, match=rf"train\.report_to: .*{said}"):
        cell_of(tiny_policy, report_to=names)
