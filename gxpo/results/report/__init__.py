"""``report.html``: everything a run shows in one file that needs no network."""

from gxpo.results.report.page import write_report

__all__ = ["write_report"]
