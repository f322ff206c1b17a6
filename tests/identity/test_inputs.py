"""What decides a cell's numbers: contents and resolved settings, no path, no time, no spelling."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.small import ROOT, small_config

from gxpo.config import complete_config, get_cell
from gxpo.identity import first_difference, identity_of, keep_sources, training_inputs


@pytest.fixture
def raw(tiny_policy, workdir):
    shutil.copytree(tiny_policy, "policy")
    shutil.copy(ROOT / "methods" / "gxpo.py", "mine.py")
    rows = [{"id": i, "problem": f"{i} + 1?", "answer": i + 1} for i in range(8)]
    Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = small_config("policy", methods={"grpo": {"method": "mine.py", "k": 3}})
    config["train"]["problems"] = "train.jsonl"
    return config


def inputs(raw):
    return training_inputs(get_cell(complete_config(raw), "tiny", "grpo", 0))


def flip(file):
    content = bytearray(Path(file).read_bytes())
    content[-1] ^= 1
    Path(file).write_bytes(content)


def append(file, text="\n"):
    with Path(file).open("a") as opened:
        opened.write(text)


CHANGES = {
    "weights": (lambda: flip("policy/model.safetensors"), "the model's weights are others"),
    "config": (
        lambda: append("policy/config.json"),
        "the model's config.json or generation_config.json is another",
    ),
    "generation": (
        lambda: Path("policy/generation_config.json").write_text("{}"),
        "the model's config.json or generation_config.json is another",
    ),
    "tokenizer": (
        lambda: append("policy/tokenizer.json"),
        "the model's tokenizer files are others",
    ),
    "template": (
        lambda: Path("policy/chat_template.jinja").write_text("{{ messages }}"),
        "the model's tokenizer files are others",
    ),
    "problems": (
        lambda: append("train.jsonl", '{"id": "x", "problem": "2?", "answer": 2}\n'),
        "the training problems are others",
    ),
    "method": (
        lambda: append("mine.py"),
        "the method's file (or its package's version) is another",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_content_is_named_whatever_the_times_say(raw, change):
    before = inputs(raw)
    times = {path: path.stat() for path in Path().rglob("*") if path.is_file()}
    do, words = CHANGES[change]
    do()
    for path, state in times.items():
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert first_difference(before, inputs(raw)) == words


def test_neither_times_nor_places_nor_spellings_are_a_change(raw, workdir):
    before = inputs(raw)
    for path in Path().rglob("*"):
        os.utime(path)
    shutil.move("policy", "elsewhere")
    shutil.move("train.jsonl", "renamed.jsonl")
    shutil.move("mine.py", "yours.py")
    moved = json.loads(json.dumps(raw))
    moved["models"]["tiny"]["path"] = str(workdir / "elsewhere")
    moved["train"] = dict(reversed(moved["train"].items())) | {"problems": "renamed.jsonl"}
    moved["train"] |= {"temperature": 1.0, "beta": 0}  # the defaults, one of them as an integer
    moved["methods"]["grpo"] = {"alpha": 0.5, "k": 3, "method": str(workdir / "yours.py")}
    assert first_difference(before, inputs(moved)) is None
    one, other = (get_cell(complete_config(c), "tiny", "grpo", 0) for c in (moved, moved))
    assert identity_of(one, before) == identity_of(other, inputs(moved))


def test_what_is_not_here_is_no_difference(raw):
    """Results on their travels are read where weights and data are not."""
    before = inputs(raw)
    cell = get_cell(complete_config(raw), "tiny", "grpo", 0)
    shutil.rmtree("policy")
    Path("train.jsonl").unlink()
    assert first_difference(before, training_inputs(cell)) is None


def test_the_first_setting_that_differs_is_named(raw):
    before = inputs(raw)
    raw["train"]["learning_rate"] = 0.25
    said = "train.learning_rate is 0.001 there, 0.25 here"
    assert first_difference(before, inputs(raw)) == said


def test_a_hub_model_is_its_commit(raw):
    cell = get_cell(complete_config(raw), "tiny", "grpo", 0)
    hub = {**cell.model_spec, "path": "some/model"}
    one, other = (
        training_inputs(replace(cell, model_spec=hub | {"revision": c * 40})) for c in "ab"
    )
    assert first_difference(one, one) is None
    assert first_difference(one, other) == "the model's weights are others"


def test_the_users_own_files_are_kept_beside_the_results(raw, workdir):
    cell = get_cell(complete_config(raw), "tiny", "grpo", 0)
    keep_sources(cell)
    append("mine.py")
    keep_sources(cell)
    kept = sorted(path.name[17:] for path in (workdir / "results/test/inputs").iterdir())
    assert kept == ["mine.py", "mine.py", "train.jsonl"]  # each content once
    copies = {path.read_bytes() for path in (workdir / "results/test/inputs").glob("*.jsonl")}
    assert copies == {Path("train.jsonl").read_bytes()}
