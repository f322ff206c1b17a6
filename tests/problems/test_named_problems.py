"""A cell on problem sets of the registry, and the paper's configuration as a DAG."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from support.small import ROOT, small_config

from gxpo.cells import RUN
from gxpo.cells.scores import read_scores
from gxpo.config import cells, complete_config
from gxpo.evaluation.cell import evaluate
from gxpo.problems import Problem, content_hash, load_problems
from gxpo.results import read_results
from gxpo.results.curves import curves
from gxpo.training.cell import train


def test_named_problems_are_trained_and_evaluated_on(tiny_policy, workdir):
    """Names of the registry from preparation's files; a planted copy of a test problem is dropped;
    a benchmark may wait for the last checkpoint."""
    Path("data").mkdir()
    suite = load_problems("synthetic/test", 6)
    training = load_problems("synthetic/train", 64)
    copy = Problem("copy", f" {suite[2].problem.upper()} ", suite[2].answer)
    for name, problems in (("gsm8k", suite), ("gsm8k-train", [*training, copy])):
        lines = [json.dumps(asdict(p)) + "\n" for p in problems]
        Path("data", f"{name}.jsonl").write_text("".join(lines))
    raw = small_config(tiny_policy)
    plain = "{problem}"
    raw["train"] |= {"problems": "gsm8k-train", "template": plain}
    raw["evaluate"]["benchmarks"] = {
        "words": {"problems": "synthetic/hard", "limit": 4, "samples": 1},
        "gsm8k": {"samples": 1, "at": "last", "template": plain},
    }
    (cell,) = cells(complete_config(raw))
    train(cell)
    record = json.loads((cell.folder / RUN).read_text())
    assert record["dropped_problems"] == {"copy": "gsm8k"}
    assert record["problems_sha256"] == content_hash(training)
    assert record["benchmarks_sha256"]["gsm8k"] == content_hash(suite)
    evaluate(cell)
    scores = read_scores(cell)
    judged = scores[(scores["benchmark"] == "selection") & (scores["step"] > 0)]
    chosen = judged.loc[judged["pass_at_1"].idxmax(), "step"]  # the earliest of equals
    reported = sorted({int(chosen), 6})
    assert scores[scores["benchmark"] == "gsm8k"]["step"].tolist() == reported
    assert scores[scores["benchmark"] == "words"]["step"].tolist() == [0, 2, 4, 6]
    results = read_results(complete_config(raw)).scores
    assert results[results["benchmark"] == "average"]["step"].tolist() == reported
    assert curves(results)["step"].tolist() == [0, 2, 4, 6]


@pytest.mark.pipeline
def test_the_papers_dag_builds(workdir):
    command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(workdir), "--configfile", str(ROOT / "config" / "paper.yaml")]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    counts = dict(line.split() for line in output.splitlines() if len(line.split()) == 2)
    assert (counts["train"], counts["evaluate"]) == ("195", "195")
    assert (counts["prepare_data"], counts["prepare_model"]) == ("7", "4")
    assert "gpu=1" in output and "mem_mb=96000" in output  # from config/models.yaml
