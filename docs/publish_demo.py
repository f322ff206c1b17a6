"""``make publish-demo``: what README and the repository say of the demo, from the run that lies in
results/demo: results/demo.lock.yaml, README's table and docs/figures/demo.png.

tests/results/test_published_demo.py holds lock and README together; ``make demo`` says whether a
run is the published one.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from gxpo.config import read_config
from gxpo.results import read_results
from gxpo.results.fingerprint import fingerprint
from gxpo.results.read import AVERAGE, Results
from gxpo.results.tables.suite_accuracy import accuracy, differences
from gxpo.results.tables.suite_targets import targets
from gxpo.results.tables.table import markdown_table, with_interval

ROOT = Path(__file__).resolve().parents[1]
LOCK, README = ROOT / "results" / "demo.lock.yaml", ROOT / "README.md"
FIGURE = ROOT / "docs" / "figures" / "demo.png"
BEGIN, END = "<!-- made by make publish-demo -->\n", "<!-- end -->\n"
SHARE = 0.8
HEAD = "# What `make demo` is compared with (docs/reference/numerics.md); by `make publish-demo`\n"


def main() -> None:
    results = read_results(read_config("demo"))
    commits = {run.get("git_commit") for run in results.cells["run"]}
    if len(commits) != 1 or "+changes" in str(commits):
        sys.exit(f"the demo's cells are not all of one commit: {commits}")
    lock = fingerprint(results) | {"readme": readme_rows(results)}
    LOCK.write_text(HEAD + yaml.safe_dump(lock, sort_keys=False, width=100), encoding="utf-8")
    before, after = around_table(README.read_text(encoding="utf-8"))
    README.write_text(before + table_of(lock) + after, encoding="utf-8")
    shutil.copyfile(ROOT / "results" / "demo" / "figures" / "suite_learning_curves.png", FIGURE)
    print(f"written: {LOCK}, {README}, {FIGURE}")


def readme_rows(results: Results) -> list[dict[str, str]]:
    """One a model and rival: what README's table shows."""
    ends = _by_label(accuracy(results).frame)
    gains = _by_label(differences(results).frame)
    costs = targets(results).frame
    costs = costs[costs["share"] == SHARE].set_index(["model", "label", "cost"])
    rows = []
    for (model, label), gain in gains.items():
        end = ends[model, label]
        row = {
            "model": model,
            "label": label,
            "pass@1 at the end, %": with_interval(
                end["pass_at_1"], end["ci_low"], end["ci_high"], factor=100
            ),
            "minus GRPO, points": with_interval(
                gain["difference"], gain["ci_low"], gain["ci_high"], "+.1f", 100
            ),
        }
        for cost, words in (
            ("step", "speedup to 80 % in steps"),
            ("backward_passes", "in backward passes"),
        ):
            found = costs.loc[(model, label, cost)]
            row[words] = with_interval(found["ratio"], found["ci_low"], found["ci_high"], ".2f")
        seeds = found["n_paired"]
        row["seeds that reached it: rule, GRPO"] = (
            f"{found['paired_reached']}, {found['baseline_reached']} of {seeds}"
        )
        rows.append(row)
    return rows


def _by_label(frame: Any) -> dict[tuple[str, str], Any]:
    last = frame[(frame["checkpoint"] == "last") & (frame["benchmark"] == AVERAGE)]
    return {(row["model"], row["label"]): row for _, row in last.iterrows()}


def table_of(lock: dict[str, Any]) -> str:
    """README's table, as the lock has it."""
    return f"{markdown_table(pd.DataFrame(lock['readme']))}\n"


def around_table(readme: str) -> tuple[str, str]:
    """What stands before the table and after it, the marks included."""
    before, found, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (found and end):
        sys.exit(f"{README} has no table between {BEGIN.strip()} and {END.strip()}")
    return before + BEGIN, END + after


if __name__ == "__main__":
    main()
