"""The page of a run: what it holds, what it escapes, what it tells apart, without a browser."""

import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from support.fabricate import fabricate
from support.report_page import Elements, by_label, page

from gxpo.cells import RUN, record_failure, write_json
from gxpo.config import cells
from gxpo.results import read_results
from gxpo.results.report import write_report
from gxpo.results.report.provenance import provenance
from gxpo.results.report.table_view import is_numeric, sort_value, view
from gxpo.results.tables import make_tables
from gxpo.results.tables.table import Table

HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)>&amp;'


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
