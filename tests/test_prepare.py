"""Preparation: hub rows to JSONL, commits locked once, test suites kept out of training sets. The
hub is a fake; the last tests take real problem files where they are on the machine."""

import json
from pathlib import Path
from types import SimpleNamespace

import datasets
import huggingface_hub
import pytest
import yaml
from conftest import ROOT, small_config

from gxpo import hub
from gxpo.catalog import benchmarks
from gxpo.config import cells, complete_config
from gxpo.errors import UserError
from gxpo.hub_lock import LOCK, lock, locked
from gxpo.prepare import model_record, prepare
from gxpo.problems import content_hash, load_problems

DATA = ROOT.parent / "shared" / "data"
MODEL = "someone/some-model"
GSM8K = [
    {"question": f"{n} and {n}?", "answer": f"That is {2 * n}.\n#### {2 * n},000"}
    for n in range(10)
]
ROWS = {
    ("openai/gsm8k", "main", "train[:-256]"): [
        *GSM8K[:6],
        {"question": "What is $x+y$?", "answer": "so #### 36"},  # amc23's, in another dress
        {"question": "no answer", "answer": "none"},
    ],
    ("openai/gsm8k", "main", "train[-256:]"): GSM8K[6:8],
    ("math-ai/amc23", None, "test"): [
        {"id": 7, "question": "What  is \\(x + y\\)?", "answer": 36.0, "url": "u"},
        {"id": 8, "question": "Half of it?", "answer": "0.5", "url": "u"},
    ],
}


@pytest.fixture
def fake_hub(workdir, monkeypatch):
    """The clients of the hub; ``commit`` is what main stands at, ``asked`` what was downloaded."""
    state = SimpleNamespace(commit="a" * 40, resolved=[], asked=[])

    class Api:
        def dataset_info(self, name):
            state.resolved.append(name)
            return SimpleNamespace(sha=state.commit)

        model_info = dataset_info

    def load_dataset(name, subset, *, split, revision):
        state.asked.append((name, revision))
        return ROWS[name, subset, split]

    def snapshot_download(name, *, revision, allow_patterns):
        state.asked.append((name, revision))
        return f"/cache/{name}/{revision}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return state


def raw_config(**changes):
    raw = small_config(Path(MODEL))
    raw["train"]["problems"] = "gsm8k-train"
    raw["evaluate"]["benchmarks"] = {"amc23": {}}
    raw["evaluate"]["selection"] = {"problems": "gsm8k-select", "limit": 2}
    return raw | changes


def record(name):
    return json.loads(benchmarks()[name].record.read_text())


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


def test_a_locked_commit_stays_until_update(fake_hub):
    config = complete_config(raw_config())
    list(prepare(config))
    fake_hub.commit, fake_hub.asked[:] = "b" * 40, []
    for file in Path("data").rglob("*.json*"):
        file.unlink()
    list(prepare(config))
    assert {commit for _, commit in fake_hub.asked} == {"a" * 40}
    list(prepare(config, update=True))
    assert locked("models", MODEL) == locked("datasets", "openai/gsm8k") == "b" * 40
    assert record("amc23")["source"]["commit"] == "b" * 40


def test_files_made_at_another_commit_than_the_locked_one_are_named(fake_hub):
    config = complete_config(raw_config())
    list(prepare(config))
    LOCK.write_text(LOCK.read_text().replace("a" * 40, "c" * 40))  # a colleague's, from git
    assert all("WARNING: made at commit aaaa" in line for line in prepare(config))


def test_the_locked_commit_is_the_models_revision(fake_hub):
    config = complete_config(raw_config())
    assert "revision" not in cells(config)[0].model_spec
    lock("models", MODEL, hub.model_commit)
    assert cells(config)[0].model_spec["revision"] == "a" * 40
    raw = raw_config(models={"tiny": {"path": MODEL, "revision": "d" * 40}})
    assert cells(complete_config(raw))[0].model_spec["revision"] == "d" * 40
    list(prepare(complete_config(raw), only=[MODEL]))
    assert (MODEL, "d" * 40) in fake_hub.asked


def test_a_broken_lock_file_is_refused(workdir):
    LOCK.parent.mkdir()
    LOCK.write_text("datasets: [1]")
    with pytest.raises(UserError, match=r"hub\.lock\.yaml must map datasets and models to names"):
        locked("datasets", "x")


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
