"""``gxpo show``: what the policy wrote in a training step, label beside label.

Prompts and completions are untrusted text: they are shown as they are, with every character that a
terminal would obey made visible, and never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gxpo.cells import ROLLOUTS, RUN, STATE, Cell, read_rollouts
from gxpo.host import UserError, visible
from gxpo.identity import read_run, status

LISTED = 12  # steps that are named one by one


@dataclass(frozen=True)
class Kept:
    """A cell's kept completions. rows: step -> its rows, a prompt each."""

    cell: Cell
    rows: dict[int, list[dict[str, Any]]]

    @classmethod
    def of(cls, cell: Cell) -> Kept:
        """Raises UserError where there are none, with what has become of the cell."""
        rows: dict[int, list[dict[str, Any]]] = {}
        for folder in (cell.folder / STATE, cell.folder):  # the state has those of a running cell
            if not rows:
                for row in read_rollouts(folder / ROLLOUTS):
                    rows.setdefault(row["step"], []).append(row)
        if rows:
            return cls(cell, rows)
        state, reason = status(cell)
        if (cell.folder / RUN).exists():
            state = "trained"
            reason = "with train.keep_completions: 0, or by a version that kept none"
        raise UserError(
            f"cell {cell.folder} has no {ROLLOUTS}: {state}{f' ({reason})' if reason else ''}"
        )


def show(cells: Sequence[Cell], step: int | None = None) -> Group:
    """The kept completions of a step, by default the last that all cells have.

    cells: of one model and seed, which see the same prompts at the same step.

    Raises UserError where a cell has none, or not of this step: it names the steps that are kept.
    """
    kept = [Kept.of(cell) for cell in cells]
    common = sorted(set.intersection(*(set(one.rows) for one in kept)))
    if not common:
        steps = "; ".join(f"{one.cell.label}: {_spans(one.rows)}" for one in kept)
        raise UserError(f"these labels have no kept step in common: {steps}")
    step = common[-1] if step is None else step
    for one in kept:
        if step not in one.rows:
            raise UserError(
                f"cell {one.cell.folder}: step {step} is not kept; kept are {_spans(one.rows)}"
            )
    return Group(*_page(kept, step, common))


def _page(kept: Sequence[Kept], step: int, common: list[int]) -> Iterator[RenderableType]:
    first = kept[0].cell
    title = f"{first.model}, seed {first.seed}, step {step} of {first.train['steps']}"
    yield Text(f"{title} (kept: {_spans(common)})", style="bold")
    for one in kept:
        for remark in _remarks(one.cell):
            yield Text(f"{one.cell.label}: {visible(remark)}", style="yellow")
    for number in range(max(len(one.rows[step]) for one in kept)):
        groups = [(o.cell.label, o.rows[step][number]) for o in kept if number < len(o.rows[step])]
        for prompt in dict.fromkeys(row["prompt"] for _, row in groups):  # of a seed, only one
            same = [(label, row) for label, row in groups if row["prompt"] == prompt]
            yield _question(same[0][1])
            yield _answers(same)


def _remarks(cell: Cell) -> Iterator[str]:
    state, reason = status(cell)
    if (cell.folder / RUN).exists() and not read_run(cell):
        yield "trained with other settings than the configuration has now"
    elif state == "failed":
        yield f"failed: {reason}"


def _question(row: dict[str, Any]) -> Panel:
    subtitle = None if row["answer"] is None else Text(f"answer: {visible(row['answer'])}")
    panel = Panel(Text(visible(row["prompt"])), title="prompt", subtitle=subtitle)
    panel.title_align = panel.subtitle_align = "left"
    return panel


def _answers(groups: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    """A column a label, a row a completion."""
    table = Table(box=box.ROUNDED, show_lines=True, expand=True)
    for label, row in groups:
        mean = fmean(one["reward"] for one in row["completions"])
        table.add_column(Text(f"{label}: mean reward {mean:.3f}"), ratio=1, overflow="fold")
    for i in range(max(len(row["completions"]) for _, row in groups)):
        own = [row["completions"][i : i + 1] for _, row in groups]
        table.add_row(*(_completion(*one) if one else Text() for one in own))
    return table


def _completion(one: dict[str, Any]) -> Text:
    """What it was paid, how long it is, how it ended; and its text."""
    parts = one["rewards"]
    paid = f"reward {one['reward']:g}"
    if len(parts) > 1:
        paid += f" ({', '.join(f'{name} {value:g}' for name, value in parts.items())})"
    how = "ended" if one["ended"] else "cut off"
    head = Text(paid, style="bold green" if one["reward"] > 0 else "bold red")
    head.append(f", {one['tokens']} tokens, {how}\n", style="not bold default")
    return head.append(visible(one["text"]), style="not bold default")


def _spans(steps: Iterable[int]) -> str:
    """The steps in words: runs of neighbours as "1 to 6", of many the first and the last."""
    spans: list[list[int]] = []
    for step in sorted(steps):
        if spans and step == spans[-1][1] + 1:
            spans[-1][1] = step
        else:
            spans.append([step, step])
    named = [f"{a} to {b}" if a < b else str(a) for a, b in spans]
    if len(named) > LISTED:
        named = [*named[: LISTED - 1], "...", named[-1]]
    return ", ".join(named)
