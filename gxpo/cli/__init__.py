"""Compare policy-update rules for RL on language models: the stages of the pipeline by hand, and
what goes with them. ``snakemake`` runs the whole.

Exit codes: 0 done; 1 the cell failed (its reason is in failure.json), a bound of the benchmark is
missed, a check of a method or an archive fails, results are not those compared with, or the doctor
has found a problem; 2 bad input; 3 some cells are not comparable with the others and left out; 75
training was stopped by SIGTERM, SIGUSR1, Ctrl-C or the end of its walltime and has left a
checkpoint, or another process works on the cell: start the same command again; 130 Ctrl-C, what had
finished is kept.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from gxpo import __version__
from gxpo.cli import archives, methods, pipeline, results, studies
from gxpo.host import UserError, denial, environment, redact
from gxpo.host.extras import EXTRA_OF, missing

CTRL_C = 128 + signal.SIGINT  # a shell's code for a process that SIGINT ended

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
for part in (pipeline, results, archives, studies, methods):
    app.add_typer(part.app)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gxpo {__version__}")
        raise typer.Exit


_VERSION = typer.Option(
    "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
)


@app.callback(help=__doc__)
def _options(version: Annotated[bool, _VERSION] = False) -> None:
    pass


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2, not a traceback."""
    environment.restart_in_utf8()
    environment.settle()  # nothing has imported torch, tqdm, matplotlib or MLflow yet
    try:
        app()
    except UserError as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA_OF:
            raise
        _refuse(missing(error.name or ""))
    except PermissionError as error:
        if error.filename is None:
            raise
        _refuse(denial(Path(error.filename)))
    except SystemExit as end:
        if end.code == CTRL_C:  # typer's, of a KeyboardInterrupt
            _say("interrupted: what had finished is kept; start the same command again")
        raise
    except Exception:
        sys.excepthook = _print_traceback  # not before: typer puts its own in place
        raise


def _refuse(reason: str) -> NoReturn:
    typer.echo(redact(f"error: {reason}"), err=True)
    sys.exit(2)


def _say(line: str) -> None:
    """On standard error, if anybody listens there: Ctrl-C ends the rest of a pipe as well."""
    with contextlib.suppress(OSError):
        typer.echo(line, err=True)


def _print_traceback(*error: Any) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(*error))))
