"""Files, names and environments that an attacker could have made: nothing of them is executed, and
no secret is written."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, small_config
from fabricate import write_evaluation
from killing import cell_of, raw_config
from mlflow.tracking import MlflowClient

import gxpo.train as training
from gxpo import checkpoints, cli
from gxpo.config import complete_config
from gxpo.errors import CellError, UserError
from gxpo.evaluate import evaluate
from gxpo.models import load_adapted_model, load_model, load_tokenizer
from gxpo.redaction import redact, redacted
from gxpo.runs import record_failure
from gxpo.tracking.importing import import_runs

NASTY = 'it\'s $(touch pwned) `touch pwned`; touch pwned "x" & -rf ..'
LABELS = [
    "a b",
    "it's",
    'say"x"',
    "$(touch pwned)",
    "`x`",
    "a;b",
    "a/b",
    "..",
    ".",
    "-x",
    "a\n",
    "",
    1,
    0.8,
    True,
    None,
]


class Bomb:
    """A pickle that leaves a file behind where it is loaded as pickles are."""

    def __init__(self, mark):
        self._mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self._mark),)


@pytest.fixture
def bomb(tmp_path):
    """The bytes of a Bomb. Whether it went off is checked at the end of the test."""
    mark = tmp_path / "executed"
    content = pickle.dumps(Bomb(mark))
    pickle.loads(content)  # it works
    mark.rmdir()
    yield content
    assert not mark.exists()


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"]
)
def test_a_pickle_in_a_checkpoint_is_not_executed(
    tiny_policy, workdir, monkeypatch, capfd, bomb, name, forced
):
    """Even with a manifest that agrees, and with the switch by which torch loads everything."""
    cell = cell_of(raw_config(tiny_policy, "grpo", steps=4))
    folder = trained(tiny_policy, cell, workdir)
    shutil.rmtree(folder / "state" / "checkpoint-4")
    checkpoint = folder / "state" / "checkpoint-2"
    (checkpoint / name).write_bytes(bomb)
    checkpoints.seal(checkpoint)
    rows = folder / "state" / "metrics.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:2]))
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "")
        cli.refuse_pickles()
    if name == "training_args.bin":  # which nobody reads
        training.train(cell)
        return
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        training.train(cell)


def trained(policy, cell, workdir, cache={}):  # noqa: B006 (one training for all cases)
    """The folder of a copy of the trained cell in the working directory."""
    if "folder" not in cache:
        training.train(cell)
        cache["folder"] = shutil.copytree(cell.folder, policy.parent / "trained")
    return Path(shutil.copytree(cache["folder"], cell.folder, dirs_exist_ok=True))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "pytorch_model.bin.index.json"])
def test_a_model_of_pickles_is_refused(tiny_policy, tmp_path, bomb, name):
    folder = Path(shutil.copytree(tiny_policy, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(bomb)
    if name.endswith("json"):
        index = {"metadata": {}, "weight_map": {"lm_head.weight": "pytorch_model.bin"}}
        (folder / name).write_text(json.dumps(index))
    else:
        (folder / name).write_bytes(bomb)
    with pytest.raises(UserError, match="cannot be loaded"):
        load_model(str(folder))


def test_a_pickle_beside_safetensors_is_not_read(tiny_policy, tmp_path, bomb):
    folder = Path(shutil.copytree(tiny_policy, tmp_path / "model"))
    (folder / "pytorch_model.bin").write_bytes(bomb)
    load_model(str(folder))


def test_an_adapter_of_pickles_is_refused(tiny_policy, tmp_path, bomb):
    (tmp_path / "adapter_model.bin").write_bytes(bomb)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "target_modules": ["q_proj"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(CellError, match=r"has no adapter_model\.safetensors"):
        load_adapted_model(load_model(str(tiny_policy)), tmp_path, merged=False)


def test_a_checkpoint_of_pickles_is_not_evaluated(tiny_policy, workdir, bomb):
    cell = cell_of(raw_config(tiny_policy, "grpo", steps=4))
    folder = trained(tiny_policy, cell, workdir)
    checkpoint = folder / "state" / "checkpoint-2"
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(bomb)
    with pytest.raises(UserError, match="cannot be loaded"):
        evaluate(cell)


@pytest.mark.parametrize("known", [False, True])
def test_the_code_of_a_model_is_not_executed(tiny_policy, tmp_path, known):
    """known: an architecture that the library has; its own code is used."""
    folder = Path(shutil.copytree(tiny_policy, tmp_path / "model"))
    mark = tmp_path / "executed"
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    if not known:
        config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["evil.Tokenizer", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    load_tokenizer(str(folder))
    if known:
        load_model(str(folder))
    else:
        with pytest.raises(UserError, match="cannot be loaded"):
            load_model(str(folder))
    assert not mark.exists()


def test_yaml_makes_no_objects(workdir, monkeypatch, capsys):
    (workdir / "config.yaml").write_text("name: !!python/object/apply:os.mkdir [executed]\n")
    monkeypatch.setattr("sys.argv", ["gxpo", "check", "config.yaml"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    assert "not valid YAML" in capsys.readouterr().err
    assert not (workdir / "executed").exists()


def test_no_source_reads_pickles():
    """torch.load, numpy's pickles and remote code are in no file of the suite."""
    sources = [*ROOT.glob("gxpo/**/*.py"), *ROOT.glob("methods/*.py"), *ROOT.glob("workflow/**/*")]
    assert len(sources) > 50
    for word in (
        "torch.load(",
        "import pickle",
        "allow_pickle",
        "trust_remote_code=True",
        "shell=True",
    ):
        assert [str(s) for s in sources if s.is_file() and word in s.read_text()] == [], word


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("where", ["name", "models", "methods", "benchmarks"])
def test_labels_become_folders_and_words_of_a_command(tiny_policy, where, label):
    raw = small_config(tiny_policy)
    if where == "name":
        raw["name"] = label
    else:
        labels = raw["evaluate"]["benchmarks"] if where == "benchmarks" else raw[where]
        labels[label] = next(iter(labels.values()))
    with pytest.raises(UserError, match=r"bad (label|name)"):
        complete_config(raw)


STUB = """#!{python}
import json, pathlib, sys
with open("calls.jsonl", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
stage, config, *rest = sys.argv[1:]
options = dict(zip(rest[::2], rest[1::2]))
results = pathlib.Path(config).parent
cell = results / "runs" / options.get("--model", "") / options.get("--label", "")
cell = cell / ("seed" + options.get("--seed", ""))
names = {names}
EVALUATED = ("evaluation.json", "scores.csv", "problems.parquet", "samples.jsonl.gz")
tables = ["tables.md", "claims.csv", "unfinished.csv", *(n + ".csv" for n in names)]
figures = [n + kind for n in names for kind in (".png", ".pdf")]
made = {{
    "prepare": [pathlib.Path("data", options.get("--only", "") + ".jsonl")],
    "train": [cell / "run.json", cell / "metrics.jsonl"],
    "evaluate": [cell / n for n in EVALUATED],
    "figures": [results / "figures" / n for n in figures],
    "report": [results / "report.html", *(results / "tables" / n for n in tables)],
}}
for path in made.get(stage, []):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
"""


def test_the_rules_shell_commands(tiny_policy, tmp_path):
    """Snakemake runs every rule's command in a real shell, in a folder with a nasty name, for a
    model, a method and problems whose paths are nasty; ``gxpo`` only notes its arguments."""
    bin_folder, work = tmp_path / "bin", tmp_path / NASTY / "work"
    bin_folder.mkdir()
    work.mkdir(parents=True)
    (bin_folder / "python").symlink_to(sys.executable)  # the Snakefile finds gxpo beside it
    rules = (ROOT / "workflow" / "rules" / "report.smk").read_text(encoding="utf-8")
    names = re.findall(r'"((?:suite|paper)_\w+)"', rules)
    (bin_folder / "gxpo").write_text(STUB.format(python=sys.executable, names=names))
    (bin_folder / "gxpo").chmod(0o755)
    raw = nasty_config(tiny_policy, work)
    raw["evaluate"]["benchmarks"]["math500"] = {}
    (work / "config.yaml").write_text(yaml.safe_dump(raw))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    paths = [str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [bin_folder / "python", "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--cores", "1", "--directory", work, "--configfile", work / "config.yaml"]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    resolved = "results/test/config.yaml"
    calls = [json.loads(line) for line in (work / "calls.jsonl").read_text().splitlines()]
    cell = ["--model", "nasty", "--label", "mine", "--seed", "0"]
    assert ["prepare", resolved, "--only", "math500"] in calls
    assert [call[:8] for call in calls if call[0] == "train"] == [["train", resolved, *cell]]
    assert [call[:8] for call in calls if call[0] == "evaluate"] == [["evaluate", resolved, *cell]]
    assert sorted(call[0] for call in calls[3:]) == ["figures", "mlflow", "report"]
    assert not list(tmp_path.rglob("pwned"))


def test_nasty_paths_train_and_evaluate(tiny_policy, workdir):
    cell = cell_of(nasty_config(tiny_policy, workdir))
    training.train(cell)
    evaluate(cell)
    assert (cell.folder / "scores.csv").exists()
    assert not list(workdir.rglob("pwned"))


def nasty_config(policy, folder):
    """One cell: a model in a folder, a method and problems in files with nasty names."""
    model = shutil.copytree(policy, folder / f"-model {NASTY}")
    method = folder / f"{NASTY}.py"
    shutil.copy(ROOT / "methods" / "grpo.py", method)
    problems = folder / f"-p {NASTY}.jsonl"
    lines = [{"id": str(i), "problem": f"Tom has {i} apples ?", "answer": str(i)} for i in range(4)]
    problems.write_text("".join(json.dumps(line) + "\n" for line in lines))
    raw = small_config(policy, models={"nasty": {"path": str(model)}})
    raw["methods"] = {"mine": {"method": str(method)}}
    raw["train"]["steps"] = 2
    raw["evaluate"]["benchmarks"]["words"]["problems"] = str(problems)
    return raw


@pytest.mark.parametrize("name", ["-rf", "--help", "../../etc", "..", "a/../b", "a b/c", "a\n"])
def test_what_is_no_hub_name_is_never_fetched(name):
    from gxpo.config import hub_models

    assert hub_models({"models": {"x": {"path": name}}}) == {}


# -- secrets ---------------------------------------------------------------------------------

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
        f"lambda _: (_ for _ in ()).throw(RuntimeError('token {SECRET} refused')); main()"
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
