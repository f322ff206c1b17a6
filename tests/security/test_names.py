"""Labels and paths that an attacker could have made: no shell takes them for commands."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest
import yaml
from support.killing import cell_of
from support.small import ROOT, small_config

import gxpo.training.cell as training
from gxpo.config import complete_config
from gxpo.evaluation.cell import evaluate
from gxpo.host import UserError

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
tables = ["tables.md", "claims.csv", "incomparable.csv", "unfinished.csv"]
tables += [n + ".csv" for n in names]
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
    assert sorted(call[0] for call in calls[3:]) == [
        *("figures", "mlflow", "mlflow", "report", "status")
    ]
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
