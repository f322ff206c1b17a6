"""What a name in a configuration stands for; how answers are read, and copies of problems found."""

import pytest
from support.small import ROOT, small_config

from gxpo.catalog import Benchmark, benchmarks, gold_answers
from gxpo.catalog.registries import models
from gxpo.cells import due_labels, evaluation_sets
from gxpo.config import cells, complete_config
from gxpo.grading import is_correct
from gxpo.host import UserError
from gxpo.policy import PromptStyle
from gxpo.preparation.overlap import normalise, split_overlap
from gxpo.problems import Problem, load_problems

FIVE = {"math500", "amc23", "gsm8k", "minerva", "olympiadbench"}


@pytest.mark.parametrize(
    ("extractor", "value", "answer"),
    [
        ("text", " $p - q$ ", "p - q"),
        ("text", "\\boxed{204}", "204"),
        ("boxed", "so \\boxed{1}, no: $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("boxed", "Thus $x=\\boxed 5$.", "5"),
        ("boxed", "\\fbox{B}", "B"),
        ("boxed", "none", None),
        ("boxed", "\\boxed{open", None),
        ("number", 27.0, "27"),
        ("number", "27.0", "27"),
        ("number", 0.5, "0.5"),
        ("number", 70, "70"),
        ("number", "3\\pi", "3\\pi"),
        ("after_hashes", "1+1 <<1+1=2>>\n#### 1,234", "1234"),
        ("after_hashes", "none", None),
        ("joined", ["$2$"], "2"),
        ("joined", ["$69$", "$84$"], "69, 84"),
        ("joined", [], None),
        ("number", 10000000000000001, "10000000000000001"),
        ("number", "$2.50$", "2.50"),
        *((name, None, None) for name in gold_answers.EXTRACTORS),
    ],
)
def test_answers(extractor, value, answer):
    assert gold_answers.EXTRACTORS[extractor](value) == answer


def test_every_given_answer_of_several_is_asked_for():
    assert is_correct("\\boxed{84, 69}", gold_answers.joined(["$69$", "$84$"]))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("What is $x+y$?", "what is\n\\( x + y \\)", True),
        ("$\\left( 3, \\dfrac{1}{2} \\right)$", "$(3,\\,\\frac12)$", True),
        ("It costs $1.50. How much?", "It costs $150. How much?", False),
        ("$x - 1$", "$x + 1$", False),
        ("$a<b$", "$a>b$", False),
        ("Janet’s ｄｕｃｋｓ", "janet s ducks", True),
    ],
)
def test_copies_are_found_in_another_dress(a, b, same):
    assert (normalise(a) == normalise(b)) is same


def test_overlap_names_the_suite():
    train = [Problem("1", "1 + 1?", "2"), Problem("2", "2 + 2?", "4")]
    kept, dropped = split_overlap(train, {"a": [], "b": [Problem("x", "2+2 ?", "4")]})
    assert (kept, dropped) == (train[:1], {"2": "b"})


def test_the_registry_has_what_the_papers_use():
    known = benchmarks()
    assert {n for n, b in known.items() if b.role == "test"} == {*FIVE, "aime24", "aime25"}
    assert {n for n, b in known.items() if b.role == "train"} == {"math-train", "gsm8k-train"}
    assert all(b.samples >= 32 for b in known.values() if b.count and b.count <= 40)
    assert {b.hub for b in known.values()} >= {"HuggingFaceH4/MATH-500", "openai/gsm8k"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": "exam"}, "role is 'exam', allowed are train, select, test"),
        ({"extract": "eval"}, "extract is 'eval', allowed are text, boxed"),
        ({"hub": None}, "needs hub or local"),
        ({"template": "?"}, "template lacks"),
    ],
)
def test_bad_entries(changes, message):
    with pytest.raises(UserError, match=f"benchmarks.yaml: x: {message}"):
        Benchmark(name="x", **({"role": "test", "hub": "a/b"} | changes))


@pytest.mark.parametrize("name", models())
def test_every_model_makes_a_cell(name):
    raw = small_config("", models={name: {}, "lora": {"path": name, "lora": {"r": 8}}})
    config = complete_config(raw)
    full, lora = (config["models"][label] for label in (name, "lora"))
    assert full["path"] == lora["path"] == models()[name]["hub"]
    assert full["chat"] and "lora" not in full
    assert lora["lora"]["targets"] == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert {"resources", "parameters", "shape"} <= set(full)
    for cell in cells(config):  # no number of a run depends on these
        assert not {"resources", "parameters", "shape", "licence"} & set(cell.model_spec)
    assert complete_config(config) == config


@pytest.mark.parametrize("name", models())
def test_shapes_agree_with_the_parameter_counts(name):
    spec, shape = models()[name], models()[name]["shape"]
    h, kv, mlp = shape["hidden"], shape["key_value"], shape["intermediate"]
    body = shape["layers"] * (2 * h * h + 2 * h * kv + 3 * h * mlp)
    vocabulary = {"Qwen": 152e3, "meta-llama": 128.3e3, "HuggingFaceTB": 49.2e3}
    embedding = vocabulary[spec["hub"].split("/")[0]] * h
    untied = spec["parameters"] > 5
    expected = (body + embedding * (2 if untied else 1)) / 1e9
    assert spec["parameters"] == pytest.approx(expected, rel=0.01)


def test_a_label_names_a_benchmark():
    raw = small_config("m")
    raw["evaluate"]["benchmarks"] = {
        "amc23": {},
        "few": {"problems": "math500", "samples": 2, "template": "Q: {problem}", "at": "last"},
    }
    raw["train"]["problems"] = "math-train"
    config = complete_config(raw)  # nothing is prepared: not a mistake yet
    found = config["evaluate"]["benchmarks"]
    boxed = "{problem}\nLet's think step by step and output the final answer within \\boxed{}."
    assert found["amc23"] == {"problems": "amc23", "samples": 32, "template": boxed}
    assert found["few"]["samples"] == 2
    assert config["train"]["template"] == boxed
    assert complete_config(config) == config
    with pytest.raises(UserError, match=r"'amc23' are not prepared: run `gxpo prepare CONFIG`"):
        load_problems("amc23")
    sets = evaluation_sets(config["evaluate"])
    assert due_labels(sets, final=False) == ["amc23", "selection"]
    assert due_labels(sets, final=True) == ["amc23", "few", "selection"]


def test_a_models_prompt_goes_around_the_questions():
    model = {"prompt": "Q: {problem}\nA:", "chat": False}
    assert PromptStyle.of(model, {"template": "{problem} Box it."}).text("1+1?") == (
        "Q: 1+1? Box it.\nA:"
    )
    assert PromptStyle.of(model, {}).text("1+1?") == "Q: 1+1?\nA:"


def test_nothing_trains_on_a_test_suite():
    raw = small_config("m")
    raw["train"]["problems"] = "math500"
    with pytest.raises(UserError, match=r"train\.problems: math500 is a test suite"):
        complete_config(raw)


def test_unknown_names_list_the_known_ones():
    raw = small_config("m")
    raw["evaluate"]["benchmarks"] = {"math5000": {}}
    with pytest.raises(UserError, match=r"benchmarks\.math5000: needs problems, or .*math500, amc"):
        complete_config(raw)
    raw = small_config("m", models={"qwen3": {}})
    with pytest.raises(UserError, match=r"models\.qwen3: needs exactly one .*qwen2\.5-1\.5b-ins"):
        complete_config(raw)


def test_the_paper_configuration_is_the_protocol(monkeypatch):
    from gxpo.config import read_config

    config = read_config(ROOT / "config" / "paper.yaml")
    train = config["train"]
    assert train["completions_per_step"] // train["num_generations"] == 128
    assert config["models"]["qwen2.5-1.5b-instruct"]["lora"]["alpha"] == 256
    assert config["models"]["qwen2.5-1.5b-instruct"]["dtype"] == "bfloat16"
    assert set(config["evaluate"]["benchmarks"]) == FIVE
    assert config["evaluate"]["benchmarks"]["math500"]["samples"] == 16
    rules = {(c.method, c.hyperparameters.get("k")) for c in cells(config)}
    assert rules == {("grpo", None), *((m, k) for m in ("sfpo", "gxpo") for k in (3, 5, 10))}
