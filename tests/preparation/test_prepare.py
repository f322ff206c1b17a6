"""Preparation: hub rows to JSONL, test suites kept out of training sets. The hub is a fake."""

import json
from pathlib import Path

import pytest
import yaml
from support.preparing import MODEL, raw_config, record

from gxpo.catalog import benchmarks, hub
from gxpo.catalog.hub_lock import LOCK
from gxpo.config import complete_config
from gxpo.host import UserError
from gxpo.preparation.prepare import model_record, prepare
from gxpo.problems import content_hash, load_problems


def test_a_configuration_is_prepared_once(fake_hub):
    config = complete_config(raw_config())
    lines = list(prepare(config))
    assert lines[0].startswith("amc23: 2 problems in data/amc23.jsonl; WARNING: 40 problems were")
    amc = load_problems("amc23")
    assert [(p.id, p.answer) for p in amc] == [("7", "36"), ("8", "0.5")]
    train = load_problems("gsm8k-train")
    assert [p.answer for p in train] == ["0000", "2000", "4000", "6000", "8000", "10000"]
    assert "gsm8k-train: 6 problems" in lines[2]
    assert "1 rows without an answer left out" in lines[2]
    assert "dropped because they also stand in a test suite: 1 in amc23" in lines[2]
    assert record("gsm8k-train") == {
        "name": "gsm8k-train",
        "source": {
            "hub": "openai/gsm8k",
            "subset": "main",
            "split": "train[:-256]",
            "commit": "a" * 40,
        },
        "count": 6,
        "expected": 7217,
        "without_answer": 1,
        "dropped": {"6": "amc23"},
        "checked_against": {"amc23": content_hash(amc)},
        "sha256": content_hash(train),
        "licence": "MIT (the dataset's card)",
    }
    assert json.loads(model_record(MODEL).read_text())["commit"] == "a" * 40
    assert yaml.safe_load(LOCK.read_text()) == {
        "datasets": {"math-ai/amc23": "a" * 40, "openai/gsm8k": "a" * 40},
        "models": {MODEL: "a" * 40},
    }
    assert sorted(fake_hub.resolved) == sorted(["math-ai/amc23", "openai/gsm8k", MODEL])

    # Again: nothing is asked for, nothing is written.
    asked = len(fake_hub.asked)
    files = {p: p.stat().st_mtime_ns for p in Path("data").rglob("*")}
    assert all("there already" in line for line in prepare(config))
    assert len(fake_hub.asked) == asked
    assert files == {p: p.stat().st_mtime_ns for p in Path("data").rglob("*")}


def test_local_files_need_no_hub(workdir, monkeypatch):
    monkeypatch.setattr(hub, "load_rows", None)
    config = complete_config(raw_config())
    file = workdir / "mine.jsonl"
    file.write_text('{"id": 1, "problem": "1+1?", "answer": 2}\n')
    list(prepare(config, only=["amc23"], local={"amc23": file}))
    assert record("amc23")["source"] == {"local": str(file)}
    # a file that is simply put in its place
    benchmarks()["gsm8k-train"].file.write_text('{"id": 1, "problem": "2+1?", "answer": 3}\n')
    assert "there already" in next(prepare(config, only=["gsm8k-train"]))


def test_a_test_suite_that_comes_later_is_taken_out_of_what_is_there(fake_hub):
    raw = raw_config()
    raw["evaluate"]["benchmarks"] = {"words": {"problems": "synthetic/test"}}
    list(prepare(complete_config(raw)))
    before = load_problems("gsm8k-train")
    files = [benchmarks()[name].file for name in ("gsm8k-train", "gsm8k-select")]
    written = [file.stat().st_mtime_ns for file in files]
    raw["evaluate"]["benchmarks"]["amc23"] = {}
    (line,) = [x for x in prepare(complete_config(raw)) if x.startswith("gsm8k-train")]
    assert line.endswith(
        "there already (data/gsm8k-train.jsonl); 1 dropped that also stand in amc23"
    )
    after = load_problems("gsm8k-train")
    assert len(after) == len(before) - 1 == record("gsm8k-train")["count"]
    assert record("gsm8k-train")["dropped"] == {"6": "amc23"}
    assert record("gsm8k-train")["sha256"] == content_hash(after)
    assert list(record("gsm8k-select")["checked_against"]) == ["amc23"]
    same = [file.stat().st_mtime_ns == before for file, before in zip(files, written, strict=True)]
    assert same == [False, True]  # nothing is trained again for a file that was all right
    assert not any("dropped" in line for line in prepare(complete_config(raw)))


def test_mistakes_name_what_is_known(fake_hub):
    config = complete_config(raw_config())
    with pytest.raises(UserError, match=r"uses no 'math500': it uses amc23, gsm8k-select, gsm8k-t"):
        list(prepare(config, only=["math500"]))
    with pytest.raises(UserError, match=f"--local gives problems, '{MODEL}' is a model"):
        list(prepare(config, local={MODEL: Path("mine.jsonl")}))
    with pytest.raises(UserError, match="leave out --only"):
        list(prepare(config, only=["amc23"], update=True))
    with pytest.raises(UserError, match=r"'amc23' are not prepared: .*at data/amc23\.jsonl"):
        list(prepare(config, only=["gsm8k-train"]))  # cannot be checked against it


def test_changed_fields_are_named(fake_hub, monkeypatch):
    config = complete_config(raw_config())
    monkeypatch.setattr(hub, "load_rows", lambda *_: [{"id": 1, "problem": "?", "answer": 1}])
    with pytest.raises(UserError, match="lacks question: it has id, problem, answer; mend fields"):
        list(prepare(config, only=["amc23"]))


def test_without_network_the_message_says_so(workdir):
    with pytest.raises(UserError, match=r"model 'a/b' cannot be had .*HF_HUB_OFFLINE unset"):
        hub.model_commit("a/b")
    with pytest.raises(UserError, match=r"dataset 'a/b' cannot be had"):
        hub.load_rows("a/b", None, "test", "a" * 40)
