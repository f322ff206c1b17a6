"""The page of a run, made of fabricated results, and its elements."""

from html.parser import HTMLParser
from pathlib import Path

from gxpo.results import read_results
from gxpo.results.report import write_report
from gxpo.results.tables import make_tables


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
