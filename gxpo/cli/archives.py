"""``gxpo pack``, ``verify`` and ``merge``: results that travel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gxpo.cli.process import Config, stay_offline
from gxpo.config import read_config
from gxpo.host import arithmetic, redact

app = typer.Typer()
Archive = Annotated[Path, typer.Argument(help="what gxpo pack or merge wrote")]
NOT_COMPARABLE = 3  # exit code


def _pin() -> None:
    """Tables in an archive are the same on every machine, whatever the runs themselves were."""
    arithmetic.pin(arithmetic.PORTABLE)


@app.command()
def pack(
    config: Config,
    out: Annotated[Path | None, typer.Option(help="default: <name>.crate.zip")] = None,
    licence: Annotated[
        str | None, typer.Option(help="of the results: a name or URL, such as CC-BY-4.0")
    ] = None,
    creator: Annotated[str, typer.Option(help="who made them, for the metadata")] = "",
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="with the weights that the selection split chose")
    ] = False,
) -> None:
    """Put the finished cells into one file. An RO-Crate that anyone can verify, without weights;
    with rows, scores, completions, tables, report, rules, versions, hashes. Problems' texts and
    answers only where config/benchmarks.yaml says that their licence allows it."""
    _pin()
    checked = read_config(config)
    from gxpo.archive.pack import pack as run

    file = out or Path(f"{checked['name']}.crate.zip")
    for line in run(checked, file, licence, creator, checkpoints):
        typer.echo(redact(line))


@app.command()
def verify(
    archive: Archive,
    rerun: Annotated[
        str | None,
        typer.Option(metavar="MODEL/LABEL/SEED", help="train and evaluate this cell again, too"),
    ] = None,
) -> None:
    """Check an archive of results. Its files, records, rules, tables, report and grading, a line
    each; nothing of it is run. Exit code 1 where a check fails."""
    _pin()
    stay_offline()
    from gxpo.archive.contents import opened
    from gxpo.archive.rerun import rerun as again
    from gxpo.archive.verdict import FAILED
    from gxpo.archive.verify import verify as run

    states = []
    with opened(archive) as config:
        for verdict in run(config):
            states.append(verdict.state)
            typer.echo(redact(str(verdict)))
        if rerun is not None and FAILED not in states:
            verdict = again(config, rerun)
            states.append(verdict.state)
            typer.echo(redact(str(verdict)))
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    typer.echo(f"{archive}: {counts}")
    if FAILED in states:
        raise typer.Exit(1)


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="an archive (.zip) or a folder to write")],
    archives: Annotated[list[Path], typer.Argument(help="archives of one comparison")],
) -> None:
    """Put cells of several machines or people into one archive. The same cell twice must be the
    same; exit code 3 where cells do not compare. gxpo tables, report and mlflow read it."""
    _pin()
    from gxpo.archive.merge import merge as run

    lines = run(out, archives)
    for line in lines:
        typer.echo(redact(line))
    if any(line.startswith("not comparable") for line in lines):
        raise typer.Exit(NOT_COMPARABLE)
