"""Preparation of real problem files, where they are on the machine."""

import json

import pytest
from support.preparing import raw_config, record
from support.small import ROOT

from gxpo.config import complete_config
from gxpo.preparation.prepare import prepare
from gxpo.problems import load_problems

DATA = ROOT.parent / "shared" / "data"

COUNTS = {"math500": 500, "amc23": 40, "gsm8k": 1319, "minerva": 272, "olympiadbench": 675}


@pytest.mark.skipif(not DATA.is_dir(), reason="the real problem files are not on this machine")
def test_real_files_have_the_registrys_counts(workdir):
    raw = raw_config()
    raw["train"]["problems"] = str(DATA / "gsm8k_train.jsonl")
    raw["evaluate"]["benchmarks"] = {name: {} for name in (*COUNTS, "aime24")}
    raw["evaluate"]["selection"] = {"problems": "synthetic/selection"}
    files = {name: DATA / f"{name}.jsonl" for name in (*COUNTS, "aime24")}
    config = complete_config(raw)
    assert not any("WARNING" in line for line in prepare(config, only=list(files), local=files))
    for name, count in (COUNTS | {"aime24": 30}).items():
        assert len(load_problems(name)) == record(name)["count"] == count


@pytest.mark.skipif(not DATA.is_dir(), reason="the real problem files are not on this machine")
def test_a_planted_overlap_with_real_suites_is_dropped(workdir):
    raw = raw_config()
    raw["evaluate"]["benchmarks"] = {"math500": {}, "gsm8k": {}}
    config = complete_config(raw)
    files = {name: DATA / f"{name}.jsonl" for name in ("math500", "gsm8k")}
    planted = load_problems(str(files["math500"]))[3]
    train = load_problems(str(DATA / "gsm8k_train.jsonl"))
    copy = {"id": "planted", "problem": f"  {planted.problem.upper()} ", "answer": "?"}
    file = workdir / "train.jsonl"
    rows = [{"id": p.id, "problem": p.problem, "answer": p.answer} for p in train]
    file.write_text("\n".join(map(json.dumps, [*rows, copy])))
    *_, line = prepare(config, only=[*files, "gsm8k-train"], local={**files, "gsm8k-train": file})
    assert "1 in math500" in line
    assert record("gsm8k-train")["dropped"]["planted"] == "math500"
    assert len(load_problems("gsm8k-train")) == len(train) + 1 - len(
        record("gsm8k-train")["dropped"]
    )
