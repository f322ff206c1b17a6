"""Says after some steps in a row that there is no signal, and gives up where that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gxpo.cells import SILENT_STEPS, Cell, show_command, silent_steps
from gxpo.host import CellError

WHAT = "every group of completions was all right or all wrong"


class SilenceWatch:
    """Counts the steps without any signal; the rows of a resumed run count too.

    config: the configuration as it was named, for the command that is shown.
    """

    def __init__(self, cell: Cell, rows: Sequence[dict[str, Any]], config: str | None = None):
        self._cell = cell
        self._silent = silent_steps(rows)
        self._said = False
        self._look = show_command(cell, config)

    @property
    def short(self) -> str:
        """For the progress bar; empty where there is a signal."""
        return f", no signal for {self._silent} steps" if self._silent >= SILENT_STEPS else ""

    def see(self, row: dict[str, Any]) -> str:
        """Count a new row; the line that is due now, once a silence and once at its end."""
        before = self._silent
        self._silent = before + 1 if silent_steps([row]) else 0
        where = f"{self._cell.folder}: step {row['step']}"
        if self._silent >= SILENT_STEPS and not self._said:
            self._said = True
            return (
                f"{where}: no signal in the last {self._silent} steps: {WHAT} "
                f"(mean reward {row['reward']:.3f}). Look at them: {self._look}"
            )
        if self._said and not self._silent:
            self._said = False
            return f"{where}: there is a signal again, after {before} steps without"
        return ""

    def give_up(self, step: int) -> None:
        """Raises CellError where ``train.stop_without_signal`` steps had none."""
        most, steps = self._cell.train["stop_without_signal"], self._cell.train["steps"]
        if most and self._silent >= most:
            raise CellError(
                f"stopped after step {step} of {steps} (train.stop_without_signal = {most}): no "
                f"learning signal in the last {self._silent} steps: {WHAT}. Look at them: "
                f"{self._look}"
            )

    def refuse_whole(self, rows: Sequence[dict[str, Any]]) -> None:
        """Raises CellError where a run had no signal in any step."""
        if silent_steps(rows) == len(rows):
            raise CellError(
                f"no learning signal: all advantages were zero in each of the {len(rows)} steps "
                f"({WHAT}). Look at them: {self._look}"
            )
