"""The page's answers before and after training: which, of whom, safe, and not too many."""

import gzip
import json

import pytest
from support.fabricate import comparison_config, fabricate
from support.report_page import Elements, page

from gxpo.cells import RUN, SAMPLES, record_failure, write_json
from gxpo.config import cells, complete_config
from gxpo.problems import content_hash, load_problems
from gxpo.results import read_results
from gxpo.results.report import examples as module
from gxpo.results.report.examples import examples, first_samples

MARKUP = '</pre><script>alert("x")</script><img src=x onerror=alert(1)>&amp;'
HOSTILE = MARKUP + "\x1b[31m\u202e\ud800\x00"
SHOWN = MARKUP + r"\x1b[31m\u202e\ud800\x00"
DAMAGED = {
    "torn": lambda content: content[:-20],
    "changed": lambda content: content[:40] + bytes([content[40] ^ 0xFF]) + content[41:],
    "no gzip": lambda _: b"nothing",
    "no JSON": lambda _: gzip.compress(b'{"a", "problem": \n'),
    "not a row": lambda _: gzip.compress(b'{"step": 1, "problem": "x"}\n'),
}


def write_samples(cell, text=None, steps=(0, 2, 8), problems=5):
    """As an evaluation does; correct is what would mislead a choice by it."""
    rows = [
        {"step": step, "benchmark": name, "problem": f"{name}-{i}", "sample": sample}
        | {"correct": i == 4 or sample == 1}
        | {"completion": text or f"{cell.label} seed {cell.seed} step {step} {name}-{i}/{sample}"}
        for step in steps
        for name in ("words", "hard", "selection")
        for i in range(problems)
        for sample in range(2)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (cell.folder / SAMPLES).write_bytes(gzip.compress(lines.encode()))


@pytest.fixture
def config(workdir):
    """Three seeds of two labels; the second label has not finished the first seed."""
    config = complete_config(comparison_config())
    fabricate(config, lambda *_: 0.5)
    for cell in cells(config):
        write_samples(cell)
    late = next(cell for cell in cells(config) if (cell.label, cell.seed) == ("fast", 0))
    record_failure(late.folder, "train", "loss is nan")
    return config


def test_the_first_problems_and_samples_of_the_fullest_seed_are_shown(config):
    (model,) = examples(read_results(config)).models
    assert (model.model, model.seed, model.absent) == ("tiny", 1, [])
    assert [(e.benchmark, e.id) for e in model.examples] == [
        *[("words", "words-0"), ("words", "words-1"), ("hard", "hard-0"), ("hard", "hard-1")]
    ]
    for example in model.examples:
        for label in ("base", "fast"):
            first, last = example.answers[label]
            assert (first.step, last.step) == (0, 8)
            assert last.text == f"{label} seed 1 step 8 {example.id}/0"
            assert not first.correct  # right ones are in the file, and not looked for


def test_labels_without_that_seed_are_named(config):
    for cell in cells(config):
        if cell.label == "fast":
            record_failure(cell.folder, "train", "loss is nan")
    (model,) = examples(read_results(config)).models
    assert (model.seed, model.absent) == (0, ["fast"])
    html, *_ = page(config)
    assert "Not finished with this seed, or without a readable samples.jsonl.gz: fast." in html


def test_a_problems_text_is_shown_only_if_it_is_the_one_that_was_asked(config):
    problems = load_problems("synthetic/test")
    for cell in cells(config):
        record = json.loads((cell.folder / RUN).read_text())
        record["benchmarks_sha256"]["words"] = content_hash(problems)
        write_json(cell.folder / RUN, record)
        text = (cell.folder / SAMPLES).read_bytes()
        named = gzip.decompress(text).replace(b"words-", b"test-")
        (cell.folder / SAMPLES).write_bytes(gzip.compress(named))
    (model,) = examples(read_results(config)).models
    (first, _, hard, _) = model.examples
    assert (first.id, first.problem, first.answer) == (
        *("test-0", problems[0].problem, problems[0].answer),
    )
    assert (hard.id, hard.problem, hard.answer) == ("hard-0", "", "")  # of another hash
    html, *_ = page(config)
    assert f"<code>{first.answer}</code>" in html
    assert html.count("Without the problem's text") == 2


def test_a_benchmark_that_waits_for_the_last_checkpoint_has_one_answer(config):
    for cell in cells(config):
        write_samples(cell, steps=(8,))
    (model,) = examples(read_results(config)).models
    assert [answer.step for answer in model.examples[0].answers["base"]] == [8]


@pytest.mark.parametrize("damage", ["missing", *DAMAGED])
def test_files_that_cannot_be_read_are_said_and_end_no_report(config, damage):
    for cell in cells(config):
        file = cell.folder / SAMPLES
        if damage == "missing":
            file.unlink()
        else:
            file.write_bytes(DAMAGED[damage](file.read_bytes()))
        assert first_samples(cell) == {}
    html, *_ = page(config)
    assert "the files samples.jsonl.gz are missing or damaged" in html


def test_nothing_that_a_policy_writes_is_markup_or_a_control_character(config):
    for cell in cells(config):
        write_samples(cell, HOSTILE)
    html, *_ = page(config)
    elements = Elements(html)
    tags = [tag for tag, _ in elements.tags]
    assert tags.count("script") == 2  # the data and the program
    assert "img" not in tags
    assert elements.text.count(SHOWN) == 4 * 2 * 2
    assert not {"\x1b", "\u202e", "\x00"} & set(html)
    details = tags.count("details")
    assert details >= 4
    assert not [a for tag, a in elements.tags if tag == "details" and "open" in a]


@pytest.mark.parametrize("character", ["x", "<", "\x1b", "数"])
def test_the_page_keeps_its_size_whatever_is_written(config, monkeypatch, character):
    monkeypatch.setattr(module, "LARGEST", 10_000)
    for cell in cells(config):
        write_samples(cell, "<first>" + character * 50_000 + "<last>")
    found = examples(read_results(config))
    (model,) = found.models
    assert found.left_out == 0
    texts = [a.text for e in model.examples for given in e.answers.values() for a in given]
    assert len(texts) == 16
    for text in texts:
        assert text.startswith("<first>")
        assert text.endswith("<last>")
        assert "characters are left out" in text
    html, *_ = page(config)
    start = html.index('<section id="answers">')
    assert len(html[start : html.index("</section>", start)].encode()) < 2 * 10_000


def test_problems_without_room_are_counted(config, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 2_500)  # 12 texts of 200: two problems of five
    found = examples(read_results(config))
    assert [len(model.examples) for model in found.models] == [2]
    assert found.left_out == 2
    html, *_ = page(config)
    assert "2 more problems have no room on this page" in html


def test_without_a_finished_cell_there_is_nothing_to_show(workdir):
    html, *_ = page(complete_config(comparison_config()))
    assert "No samples: no label has finished a seed." in html
