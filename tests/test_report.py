"""The page of a run: what it says, what it escapes, what it holds, without a browser."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fabricate import comparison_config, fabricate
from hypothesis import given
from hypothesis import strategies as st

from gxpo.config import cells, complete_config
from gxpo.report import write_report
from gxpo.report.curves import SCALE, curve_data
from gxpo.report.provenance import provenance
from gxpo.report.summary import summaries
from gxpo.report.table_view import is_numeric, sort_value, view
from gxpo.results import read_results
from gxpo.runs import RUN, record_failure, write_json
from gxpo.statistics import seed_band, seed_interval
from gxpo.tables import make_tables
from gxpo.tables.table import Table

HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)>&amp;'


@pytest.fixture
def config(workdir):
    return complete_config(comparison_config(models=("tiny", "other")))


def by_label(gains):
    """A curve: 0.4 at step 0, then 0.4 + the label's gain of its seed; hard is 0.1 lower."""

    def curve(cell, benchmark, step):
        shift = {"words": 0.4, "hard": 0.3, "selection": 0.5}[benchmark]
        return shift + (gains[cell.label][cell.seed] if step else 0)

    return curve


def page(config):
    """The page's text, and what it was made from."""
    results = read_results(config)
    tables = make_tables(results)
    write_report(results, tables, Path("report.html"))
    return Path("report.html").read_text(encoding="utf-8"), results, tables


class Elements(HTMLParser):
    """Tags with their attributes, and the text that a browser would show."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_what_decides_is_said_and_undecided_too(config):
    gains = {"base": [0.1, 0.1, 0.1], "fast": [0.14, 0.16, 0.15]}
    fabricate(config, by_label(gains))
    _, results, tables = page(config)
    tiny, other = summaries(results, tables)
    assert (tiny.model, other.model, tiny.tiny) == ("tiny", "other", True)
    assert "compared with base" in tiny.sentence
    assert "1 higher, 0 lower, 0 undecided" in tiny.sentence
    (finding,) = tiny.findings
    half = 100 * 4.302653 * 0.01 / math.sqrt(3)  # differences 4, 6, 5 points
    interval = f"[{5 - half:+.1f}, {5 + half:+.1f}]"
    assert finding.text.startswith(f"+5.0 points {interval}, 3 seeds.")
    assert "3 of 3 seeds reached 80\u00a0% of base's gain" in finding.text


def test_a_ratio_of_censored_costs_is_a_bound(config):
    """One is at 80 % of base's gain at the last checkpoint only, where it is not confirmed."""

    def late(label):
        return lambda c, b, s: 0.4 + (0.01 * s if c.label == label else 0.1 * (s > 0))

    for label, words in (("base", "≥ 4.00"), ("fast", "≤ 0.25")):
        fabricate(config, late(label))
        _, results, tables = page(config)
        assert f"cost ratio {words}" in summaries(results, tables)[0].findings[0].text


@pytest.mark.parametrize(
    ("fast", "verdict"), [([0.05, 0.06, 0.05], "lower"), ([0.06, 0.1, 0.16], "undecided")]
)
def test_verdicts(config, fast, verdict):
    fabricate(config, by_label({"base": [0.1, 0.1, 0.1], "fast": fast}))
    _, results, tables = page(config)
    assert [s.findings[0].verdict for s in summaries(results, tables)] == [verdict] * 2


def test_one_seed_and_none(workdir):
    config = complete_config(comparison_config(models=("tiny", "other"), seeds=(0,)))
    curve = by_label({"base": [0.1], "fast": [0.2]})
    fabricate(config, lambda c, b, s: None if c.model == "other" else curve(c, b, s))
    html, results, tables = page(config)
    tiny, other = summaries(results, tables)
    assert "1 with one seed and so without interval" in tiny.sentence
    assert tiny.findings[0].text.startswith("+10.0 points, 1 seed.")
    assert "no result" in other.sentence
    assert "2 of 2 cells, failed or missing" in other.sentence
    summary = re.search(r"<h2>Summary</h2>(.*)<h2>Learning curves</h2>", html, re.DOTALL)[1]
    assert tiny.findings[0].text in Elements(summary).text
    assert "nan" not in Elements(summary).text


def test_every_table_is_there_and_a_hole_says_so(config):
    html, _, tables = page(config)  # nothing has finished
    elements = Elements(html)
    ids = {attributes.get("id") for _, attributes in elements.tags}
    assert {f"section-{table.name}" for table in tables} <= ids
    for table in tables:
        assert (table.name in ids) == bool(len(table.shown))
        for words in [*table.notes, *([] if len(table.shown) else [table.empty])]:
            assert words in elements.text
    assert "No cell has been trained yet" in elements.text


def test_cells_of_the_page_are_those_of_the_tables(config):
    fabricate(config, by_label({"base": [0.1, 0.1, 0.1], "fast": [0.14, 0.16, 0.15]}))
    html, _, tables = page(config)
    shown = {t.name: t.shown for t in tables if len(t.shown)}
    for name, frame in shown.items():
        (read,) = pd.read_html(
            Path("report.html"),
            attrs={"id": name},
            keep_default_na=False,
            converters=dict.fromkeys(range(frame.shape[1]), str),
        )
        spaced = frame.astype(str).map(lambda text: " ".join(text.split()))
        assert read.to_numpy().tolist() == spaced.to_numpy().tolist()
    assert len(re.findall("<table", html)) == len(shown) + 1  # and the cells' origins


def test_nothing_that_runs_bring_is_markup(config):
    fabricate(config, by_label({"base": [0.1, 0.1, 0.1], "fast": [0.2, 0.2, 0.2]}))
    first, second, *_ = cells(config)
    record_failure(first.folder, "train", HOSTILE)
    record = json.loads((second.folder / RUN).read_text())
    record["versions"]["torch"] = record["hyperparameters"] = {HOSTILE: HOSTILE}
    write_json(second.folder / RUN, record)
    results = read_results(config)
    shown = pd.DataFrame({HOSTILE: [HOSTILE]})
    hostile = Table("suite_x", HOSTILE, shown, shown, [HOSTILE])
    empty = Table("paper_x", HOSTILE, shown[:0], shown[:0], [HOSTILE], HOSTILE)
    # labels are restricted by the schema; the page does not rely on it
    results.config["methods"][HOSTILE] = {"method": "grpo"}
    results.config["models"][HOSTILE] = {"path": HOSTILE}
    results.config["name"] = HOSTILE
    write_report(results, [*make_tables(read_results(config)), hostile, empty], Path("x.html"))
    html = Path("x.html").read_text(encoding="utf-8")
    elements = Elements(html)
    assert [tag for tag, _ in elements.tags].count("script") == 2  # the data and the program
    assert not [tag for tag, _ in elements.tags if tag == "img"]
    assert not [a for _, a in elements.tags if any(name.startswith("on") for name in a)]
    assert elements.text.count(HOSTILE) > 8


def test_nothing_is_fetched(config):
    html, *_ = page(config)
    for tag, attributes in Elements(html).tags:
        assert "src" not in attributes and tag != "link"
        assert attributes.get("href", "#").startswith(("#", "https://arxiv.org/abs/"))
    policy = next(
        a["content"]
        for _, a in Elements(html).tags
        if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")


def test_curves_are_what_was_measured(config):
    gains = {"base": [0.1, 0.1, 0.1], "fast": [0.14, 0.16, 0.15]}
    slow_seed = {"metrics": lambda c, step: {"train_seconds": step * (c.seed + 1.0)}}
    fabricate(config, by_label(gains), passes_per_step={"fast": 3}, **slow_seed)
    data = curve_data(read_results(config), 10**6)
    run = data["runs"]["tiny"]["fast"]
    assert run["costs"]["step"] == {"mean": [0, 2, 4, 6, 8], "runs": None}
    assert run["costs"]["backward_passes"]["mean"] == [0, 6, 12, 18, 24]
    assert run["costs"]["train_seconds"]["mean"][-1] == 16
    assert [line[-1] for line in run["costs"]["train_seconds"]["runs"]] == [8, 16, 24]
    words = run["scores"]["words"]
    assert words["mean"] == [4000, 5500, 5500, 5500, 5500]
    assert [line[1] for line in words["runs"]] == [5400, 5600, 5500]
    expected = seed_interval([0.54, 0.56, 0.55])
    assert words["low"][1] == round(SCALE * expected.low)
    assert words["high"][1] == round(SCALE * expected.high)
    assert run["scores"]["average"]["mean"][-1] == 5000
    assert run["scores"]["selection"]["mean"][-1] == 6500
    assert data["every"] == 1
    assert [look["name"] for look in data["labels"]] == ["base", "fast"]


def test_a_benchmark_of_the_last_checkpoint_is_one_point(workdir):
    late = {"problems": "synthetic/test", "limit": 25, "samples": 4, "at": "last"}
    config = complete_config(comparison_config(late=late))

    def curve(cell, benchmark, step):
        return 0.7 if benchmark == "late" else 0.4 + 0.02 * step

    fabricate(config, curve)
    scores = curve_data(read_results(config), 10**6)["runs"]["tiny"]["fast"]["scores"]
    assert scores["late"]["mean"] == [None] * 4 + [7000]
    assert scores["average"]["mean"] == [4000, 4400, 4800, 5200, 5600]  # late would be a jump


def test_long_runs_are_thinned_to_the_budget_with_both_ends(workdir):
    config = complete_config(comparison_config(steps=240, every=1))
    fabricate(config, lambda cell, benchmark, step: 0.4 + 0.001 * step)
    results = read_results(config)
    most = curve_data(results, 10**9)
    few = curve_data(results, 20_000)
    for data in (most, few):
        costs = data["runs"]["tiny"]["base"]["costs"]["step"]["mean"]
        assert (costs[0], costs[-1]) == (0, 240)
    assert len(most["runs"]["tiny"]["base"]["costs"]["step"]["mean"]) == 200
    assert len(json.dumps(few, separators=(",", ":"))) < 20_000
    assert few["every"] > 1


def test_origins_are_told_apart(config):
    fabricate(config, by_label({"base": [0.1, 0.1, 0.1], "fast": [0.2, 0.2, 0.2]}))
    same = provenance(read_results(config))
    assert [(o.name, o.cells) for o in same.origins] == [("A", 12)]
    assert same.differing == []
    assert same.origins[0].facts["versions.torch"] == "2.13.0"
    assert same.origins[0].facts["hardware.gpus"] == "none"
    odd = cells(config)[3]
    record = json.loads((odd.folder / RUN).read_text())
    record["versions"]["torch"] = "2.14.0"
    write_json(odd.folder / RUN, record)
    (cells(config)[5].folder / RUN).unlink()
    found = provenance(read_results(config))
    assert [(o.name, o.cells) for o in found.origins] == [("A", 10), ("B", 1)]
    assert found.differing == ["versions.torch"]
    assert [c.origin for c in found.cells][3:6] == ["B", "A", "–"]
    html, *_ = page(config)
    assert "have 2 origins, which differ in" in html


def test_the_configuration_can_be_read_back(config):
    html, *_ = page(config)
    text = Elements(html).text
    start = text.index("name: test")
    assert yaml.safe_load(text[start : text.index("\n\n", start)]) == config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("61.2 [58.0, 64.4]", 61.2), ("1.33x", 1.33), ("2 of 3", 2), ("+0.5", 0.5), ("75 %", 75)],
        *[("> 40", math.inf), ("≥ 12.5", 12.5), ("-3", -3), ("1e-05", 1e-5), ("5 (3)", 5)],
        *[("3b-model", None), ("–", None), ("(missing)", None), ("", None), ("grpo", None)],
    ],
)
def test_what_an_entry_sorts_by(text, value):
    assert sort_value(text) == value


def test_columns_of_numbers():
    assert is_numeric(["1.0", "–", "(missing)", "> 40"])
    assert is_numeric(["–", "(missing)"])
    assert not is_numeric(["1.0", "grpo"])
    frame = pd.DataFrame({"label": ["a"], "cost": ["> 40"]})
    (label, cost), *_ = view(Table("x", "x", frame, frame)).rows
    assert (label.key, cost.key) == ("", "Infinity")


@given(st.lists(st.lists(st.floats(-1, 1), min_size=4, max_size=4), min_size=1, max_size=5))
def test_a_band_is_the_interval_of_every_column(values):
    bands = np.stack(seed_band(np.array(values)), axis=1)
    for column, band in zip(np.array(values).T, bands, strict=True):
        np.testing.assert_allclose(band, seed_interval(list(column)), equal_nan=True)
