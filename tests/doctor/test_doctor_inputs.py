"""What ``gxpo doctor`` says of problems and models."""

import json
from pathlib import Path

from support.findings import levels

from gxpo.config import complete_config
from gxpo.doctor import OK, PROBLEM, inputs


def test_problems(raw):
    assert inputs.problems(complete_config(raw)).level == OK
    raw["evaluate"]["benchmarks"]["math500"] = {}
    finding = inputs.problems(complete_config(raw))
    assert finding.level == PROBLEM
    assert "not prepared: math500: gxpo prepare" in finding.text
    Path("data").mkdir()
    Path("data/math500.jsonl").write_text('{"id": "1", "problem": "1 + 1", "answer": "2"}\n')
    assert inputs.problems(complete_config(raw)).level == OK


def test_models(raw, workdir):
    raw["models"]["made"] = {"architecture": "qwen2"}
    assert levels(inputs.models(complete_config(raw))) == [OK, OK]
    (workdir / "empty").mkdir()
    raw["models"] = {"empty": {"path": "empty"}, "wrong": {"path": "no/such/folder"}}
    for finding in inputs.models(complete_config(raw)):
        assert finding.level == PROBLEM
        assert "is no folder with safetensors" in finding.text


def test_hub_models(raw, workdir):
    cache, commit = workdir / "hub", "0123456789abcdef"
    raw["models"] = {"smollm2-135m-instruct": {}}

    def look():
        (finding,) = inputs.models(complete_config(raw), cache)
        return finding.level, finding.text

    level, text = look()
    assert level == PROBLEM
    assert "is not fetched" in text
    record = inputs.model_record("HuggingFaceTB/SmolLM2-135M-Instruct")
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"commit": commit}))
    level, text = look()
    assert level == PROBLEM
    assert f"at 0123456789ab is not in {cache}: set HF_HOME" in text
    folder = cache / "models--HuggingFaceTB--SmolLM2-135M-Instruct" / "snapshots" / commit
    folder.mkdir(parents=True)
    assert look()[0] == PROBLEM
    blob = cache / "blob"  # a cache holds links, and a copy of it perhaps nothing else
    (folder / "model.safetensors").symlink_to(blob)
    assert look()[0] == PROBLEM
    blob.touch()
    assert look()[0] == PROBLEM
    blob.write_bytes(b"weights")
    assert look()[0] == OK
