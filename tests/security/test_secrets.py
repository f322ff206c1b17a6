"""Secrets of the environment and in addresses: none is written."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from mlflow.tracking import MlflowClient
from support.fabricate import write_evaluation
from support.killing import cell_of, raw_config
from support.small import ROOT

import gxpo.training.cell as training
from gxpo.cells import record_failure
from gxpo.config import complete_config
from gxpo.host import redact, redacted
from gxpo.tracking.importing import import_runs

SECRET = "hunter2-hunter2"


@pytest.fixture(params=["HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD"])
def secret(request, monkeypatch):
    monkeypatch.setenv(request.param, SECRET)
    return SECRET


def test_redact(secret):
    assert redact(f"a {SECRET} b{SECRET}c") == "a [redacted] b[redacted]c"
    assert redacted({"a": [SECRET, 1, None], SECRET: (2.5,)}) == {
        "a": ["[redacted]", 1, None],
        "[redacted]": [2.5],
    }


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("at https://user:pw@host:5000/x?", "at https://[redacted]@host:5000/x?"),
        ("postgresql://me:p@ss/word@db/x", "postgresql://[redacted]@db/x"),
        ("https://ghp_abc@github.com/a.git", "https://[redacted]@github.com/a.git"),
        ("http://127.0.0.1:5000/api", "http://127.0.0.1:5000/api"),
        ("git+https://github.com/a/b@main", "git+https://github.com/a/b@main"),
        ("me@host", "me@host"),
    ],
)
def test_credentials_in_urls(text, clean):
    assert redact(text) == clean


@pytest.mark.parametrize(
    "name", ["SLURM_JWT", "MYSQL_PWD", "SSH_PASSPHRASE", "PGPASS", "GITHUB_PAT", "db_credentials"]
)
def test_names_that_say_secret(name, monkeypatch):
    monkeypatch.setenv(name, SECRET)
    assert redact(SECRET) == "[redacted]"


def test_ordinary_variables_are_no_secrets(monkeypatch):
    monkeypatch.setenv("PWD", "/home/me/runs")
    monkeypatch.setenv("XDG_SESSION_PATH", "/home/me/runs")
    assert redact("/home/me/runs") == "/home/me/runs"
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "tokenizers-value")
    monkeypatch.setenv("LICENSE_KEY", "short")
    assert redact("tokenizers-value short") == "tokenizers-value short"


def test_no_secret_reaches_a_cell_or_mlflow(tiny_policy, workdir, monkeypatch, secret):
    raw = raw_config(tiny_policy, "grpo", steps=4)
    folder = workdir / SECRET
    folder.mkdir()
    shutil.copy(ROOT / "methods" / "grpo.py", folder / "mine.py")
    raw["methods"]["grpo"]["method"] = str(folder / "mine.py")
    cell = cell_of(raw)
    training.train(cell)
    checkpoints = json.loads((cell.folder / "run.json").read_text())["checkpoints"]
    write_evaluation(cell, lambda *_: 0.5, checkpoints)
    import_runs(complete_config(raw), workdir / "mlflow.db")
    written = [path for path in cell.folder.rglob("*") if path.is_file()]
    assert {"run.json", "metrics.jsonl"} <= {path.name for path in written}
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []
    assert SECRET.encode() not in (workdir / "mlflow.db").read_bytes()
    client = MlflowClient(f"sqlite:///{workdir / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert "[redacted]" in run.data.params["rule"]
    record_failure(cell.folder, "train", f"https://u:{SECRET}@h: {SECRET}")
    assert SECRET not in (cell.folder / "failure.json").read_text()


def test_no_secret_in_error_messages(workdir, secret):
    """One line for a user's mistake, a traceback for a crash: both on standard error."""
    (workdir / f"{SECRET}.yaml").write_text("{")
    crash = (
        "import sys; from gxpo.cli import main, pipeline; sys.argv = ['gxpo', 'check', 'x']; "
        "pipeline.configuration.read_config = "
        f"lambda *_, **__: (_ for _ in ()).throw(RuntimeError('token {SECRET} refused')); main()"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for command, expected in (
        (["-m", "gxpo.cli", "check", f"{SECRET}.yaml"], "error: [redacted].yaml is not valid YAML"),
        (["-c", crash], "RuntimeError: token [redacted] refused"),
    ):
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, env=environment
        )
        assert done.returncode != 0
        assert expected in done.stderr
        assert SECRET not in done.stderr.replace(crash, "")
