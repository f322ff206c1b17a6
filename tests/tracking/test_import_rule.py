"""What the import of the runs waits for in the pipeline."""

import re
import subprocess
import sys

import yaml
from support.small import ROOT, small_config


def planned(folder, target):
    """Names of the rules that Snakemake would run for a file of the results."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1"]
    command += ["--directory", folder, "--configfile", folder / "config.yaml", "--dry-run"]
    done = subprocess.run(
        [*map(str, command), f"results/test/{target}"], capture_output=True, text=True, check=True
    )
    return set(re.findall(r"^(?:local)?rule (\w+):", done.stdout + done.stderr, re.MULTILINE))


def test_no_failure_of_page_or_figures_keeps_runs_from_the_database(tiny_policy, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(small_config(tiny_policy)))
    assert planned(tmp_path, "mlflow.imported") == {"train", "evaluate", "mlflow"}


def test_page_and_figures_are_added_to_the_runs_when_they_are_there(tiny_policy, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(small_config(tiny_policy)))
    summary = planned(tmp_path, "mlflow.summary")
    assert summary == {"train", "evaluate", "mlflow", "report", "figures", "mlflow_summary"}
