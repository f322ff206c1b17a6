"""Progress bars that read well on a terminal and in a log file."""

from __future__ import annotations

import sys
from typing import Any

_BAR = "{desc}: {n_fmt}/{total_fmt} |{bar:20}| {elapsed} elapsed, {remaining} left{postfix}"


def progress_bar(description: str, total: int, initial: int = 0, shown: bool = True) -> Any:
    """A bar on standard error; where that is no terminal, a line at most every ten seconds.
    shown: False on all processes of a job but one."""
    from tqdm import tqdm  # reads TQDM_DISABLE when it is imported

    terminal = sys.stderr.isatty()
    return tqdm(
        desc=description,
        total=total,
        initial=initial,
        bar_format=_BAR if terminal else _BAR + "\n",
        mininterval=0.5 if terminal else 10,
        ascii=not terminal,
        dynamic_ncols=terminal,
        disable=not shown,  # the libraries' own bars are switched off by TQDM_DISABLE; ours stays
    )


def say_beside(bar: Any, line: str) -> None:
    """Print a line on standard error that neither cuts the bar nor is cut by it."""
    if sys.stderr.isatty():
        bar.write(line, file=sys.stderr)
    else:  # tqdm would put carriage returns into a log file
        print(line, file=sys.stderr, flush=True)
