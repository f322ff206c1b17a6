"""Prompts that a model's template or context does not take."""

import json

import pytest
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from gxpo.checking.light_tokenizer import light_tokenizer
from gxpo.checking.model_folder import ModelFolder
from gxpo.config import complete_config, get_cell
from gxpo.host import UserError
from gxpo.policy import PromptStyle, prompt_lengths
from gxpo.policy.loading import load_tokenizer
from gxpo.problems import load_problems
from gxpo.training.cell import train

GOOD = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + GOOD
)


@pytest.fixture
def chat(raw, folder):
    """chat(template, **entry): a chat model with that template."""

    def make(template, **entry):
        (folder / "chat_template.jinja").write_text(template)
        raw["models"]["tiny"] |= {"chat": True, **entry}

    return make


def test_chat_without_a_template_is_refused(raw, folder, said):
    raw["models"]["tiny"]["chat"] = True
    (reason,) = said()
    assert f"models.tiny: chat: true, but the tokenizer of {folder} has no chat template" in reason
    raw["models"] = {"made": {"architecture": "qwen2", "chat": True}}
    (reason,) = said()
    assert reason.startswith("config: models.made: chat: true, but the tokenizer of")


def test_a_template_that_takes_the_messages(chat, said):
    chat(GOOD, system="Be brief.")
    assert said() == []


@pytest.mark.parametrize(
    "place", [{"chat_template": GOOD}, {"chat_template": [{"name": "default", "template": GOOD}]}]
)
def test_a_template_in_the_tokenizers_configuration(raw, write, said, place):
    write("tokenizer_config.json", **place)
    raw["models"]["tiny"]["chat"] = True
    assert said() == []


def test_a_template_that_refuses_the_system_role(chat, folder, said, workdir):
    chat(NO_SYSTEM, system="Be brief.")
    (reason,) = said()
    assert f"the chat template of {folder} refuses messages of system, user: System role" in reason
    assert "not supported: leave out system, without which it takes them" in reason


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('no chat for you') }}", "of user: no chat for you: mend the template"),
        ("{% for %}", "refuses messages of user: "),
        ("{{ messages[0].content + 1 }}", "refuses messages of user: "),
        (
            NO_SYSTEM.replace("[0].role == 'system'", "[-1].role == 'assistant'"),
            "refuses messages of user, assistant: System role not supported",
        ),
        ("{% for m in messages %}hello{% endfor %}", "leaves the problem out of the prompt"),
    ],
)
def test_other_templates_that_do_not_take_the_messages(chat, said, template, message):
    chat(template)
    (reason,) = said()
    assert message in reason
    assert "\n" not in reason


def test_a_template_that_forgets_the_system_message(chat, said):
    chat(GOOD.replace("in messages", "in messages if m.role != 'system'"), system="Be brief.")
    assert "leaves the system message out of the prompt" in said()[0]


def test_an_end_of_turn_that_is_no_token_is_refused_before_the_start(chat, said):
    chat(GOOD.replace("<eos>", "END"))
    assert "the chat template ends a turn with 'END'" in said()[0]


def test_training_refuses_the_same_template(chat, raw, workdir):
    chat(NO_SYSTEM, system="Be brief.")
    cell = get_cell(complete_config(raw), "tiny", "grpo", 0)
    with pytest.raises(UserError, match="System role not supported: leave out system"):
        train(cell)


@pytest.mark.parametrize("system", [None, "Be brief."])
def test_the_light_template_renders_as_the_real_one(folder, tiny_policy, system):
    (folder / "chat_template.jinja").write_text(GOOD)
    light, real = light_tokenizer(ModelFolder(folder)), load_tokenizer(str(folder))
    style = PromptStyle("Q: {problem}", system, chat=True)
    problems = load_problems("synthetic/test", 5)
    prompts = [style.prompt(problem.problem) for problem in problems]
    asked = {"tokenize": False, "add_generation_prompt": True}
    assert light.apply_chat_template(prompts, **asked) == real.apply_chat_template(prompts, **asked)
    assert prompt_lengths(light, style, problems) == prompt_lengths(real, style, problems)


def problems_of(workdir, name, sizes):
    """A file of problems of so many words each."""
    rows = [
        {"id": f"{name}{i}", "problem": f"{i} " + "eggs " * (n - len(str(i))), "answer": 1}
        for i, n in enumerate(sizes)
    ]
    (workdir / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(workdir / f"{name}.jsonl")


@pytest.mark.parametrize("where", ["train", "words", "selection"])
def test_a_prompt_longer_than_the_context_is_named(raw, said, workdir, where):
    """128 tokens of context, 16 of the completion: 112 are left; 113 are one too many."""
    spec = raw["train"] if where == "train" else raw["evaluate"]["selection"]
    spec = raw["evaluate"]["benchmarks"]["words"] if where == "words" else spec
    spec["problems"] = problems_of(workdir, "p", [9, 112, 112, 20])
    spec.pop("limit", None)
    assert said() == []
    spec["problems"] = problems_of(workdir, "q", [9, 112, 113, 120])
    (reason,) = said()
    name = where if where == "train" else f"evaluate ({where})"
    assert (
        f"models.tiny: {name}: the prompt of problem 'q3' has 120 tokens: with max_comp" in reason
    )
    assert "= 16 that exceeds the model's context of 128; 2 of 4 problems are too long" in reason
    raw["models"]["tiny"]["prompt"] = "{problem} ? ? ?"
    assert "'q3' has 123 tokens" in said()[0]


def test_a_tiny_policys_context_is_known_before_it_is_made(raw, said, workdir):
    raw["models"] = {"made": {"architecture": "qwen2"}}
    raw["train"]["problems"] = problems_of(workdir, "p", [9, 112, 112, 20])
    assert said() == []
    raw["train"]["problems"] = problems_of(workdir, "q", [9, 112, 113, 120])
    assert "models.made: train: the prompt of problem 'q3' has 120 tokens" in said()[0]


def test_near_the_limit_the_tokenizer_itself_decides(raw, folder, said, workdir, monkeypatch):
    raw["train"]["problems"] = problems_of(workdir, "p", [9, 112, 112, 20])
    asked = []

    def longer(path, revision=None):
        asked.append(path)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(path)
        tokenizer.add_tokens([AddedToken("eggs eggs", normalized=False)])
        return tokenizer

    monkeypatch.setattr("gxpo.policy.loading.load_tokenizer", longer)
    assert said() == []
    assert asked == [str(folder)]
    raw["train"]["problems"] = problems_of(workdir, "q", [9, 60, 60, 20])
    assert said() == []
    assert len(asked) == 1  # far from it nobody pays for torch


def test_a_context_that_the_folder_does_not_name_is_the_architectures(folder, said, raw):
    config = json.loads((folder / "config.json").read_text())
    del config["max_position_embeddings"]
    (folder / "config.json").write_text(json.dumps(config))
    raw["train"]["max_completion_length"] = 1000
    assert said() == []  # Qwen2's default is 32768
