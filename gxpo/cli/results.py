"""``gxpo status``, ``show``, ``tables``, ``claims``, ``figures``, ``report``, ``mlflow``: what runs
have become, and what is made from them."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gxpo import config as configuration
from gxpo.cli.process import Config, Model, Seed
from gxpo.host import redact
from gxpo.tracking.live import tracking_server

if TYPE_CHECKING:
    from gxpo.results.read import Results

app = typer.Typer()
NOT_COMPARABLE = 3  # exit code


@app.command()
def status(config: Config) -> None:
    """Tell how far every cell has come. Those that have not finished, with the reason; exit code 3
    where cells have results that are not comparable with the others."""
    from gxpo.results import read_results
    from gxpo.results.tables.table import markdown
    from gxpo.results.tables.unfinished import not_comparable, unfinished

    results = read_results(configuration.read_config(config))
    counts = results.cells["state"].value_counts()
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()) + "\n")
    for table in (unfinished(results), not_comparable(results)):
        if len(table.frame) or table.notes:
            typer.echo(markdown(table) + "\n")
    _end(results)


@app.command()
def show(
    config: Config,
    model: Model,
    label: Annotated[
        list[str],
        typer.Option(help="a label under methods:; given several times: labels side by side"),
    ],
    seed: Seed,
    step: Annotated[
        int | None, typer.Option(help="a training step that is kept; default: the last")
    ] = None,
) -> None:
    """Show what the policy writes in training. Prompts, completions and rewards of a cell that has
    finished, failed, or is at work; labels side by side have the same prompts:

    gxpo show demo --model tiny-qwen2 --label grpo --label gxpo-k5 --seed 0 --step 1

    train.keep_completions says of how many prompts a step the completions are kept. Colours only on
    a terminal, and not where NO_COLOR is set; control characters are shown as \\x1b and the like.
    """
    from rich.console import Console

    from gxpo.results.show import show as page

    checked = configuration.read_config(config)
    cells = [configuration.get_cell(checked, model, name, seed) for name in dict.fromkeys(label)]
    if isinstance(sys.stdout, io.TextIOWrapper):  # a policy writes what the locale may not know
        sys.stdout.reconfigure(errors="backslashreplace")
    Console(highlight=False, markup=False, emoji=False).print(page(cells, step))


@app.command()
def tables(
    config: Config,
    out: Annotated[Path | None, typer.Option(help="default: results/<name>/tables")] = None,
) -> None:
    """Make and print the tables of whatever has finished. In CSV, Markdown and LaTeX; exit code 3
    where cells are left out because they are not comparable."""
    from gxpo.results import read_results
    from gxpo.results.tables import make_tables, write_tables

    checked = configuration.read_config(config)
    folder = out or Path("results", checked["name"], "tables")
    results = read_results(checked)
    write_tables(make_tables(results), checked["name"], folder)
    typer.echo((folder / "tables.md").read_text(encoding="utf-8"))
    _end(results)


@app.command()
def claims(config: Config) -> None:
    """Print the papers' claims, and what the runs say of them."""
    from gxpo.results import read_results
    from gxpo.results.tables.claims import claims as table
    from gxpo.results.tables.table import markdown

    results = read_results(configuration.read_config(config))
    typer.echo(markdown(table(results)))
    _end(results)


@app.command()
def figures(config: Config) -> None:
    """Draw the figures (PNG, PDF) from whatever has finished."""
    from gxpo.results import read_results
    from gxpo.results.figures import draw_figures

    checked = configuration.read_config(config)
    results = read_results(checked)
    for file in draw_figures(results, Path("results", checked["name"], "figures")):
        typer.echo(str(file))
    _say_left_out(results)


@app.command()
def report(
    config: Config,
    out: Annotated[Path | None, typer.Option(help="default: results/<name>/report.html")] = None,
    tables: Annotated[
        Path | None, typer.Option(help="a folder for the tables too, from the same reading")
    ] = None,
) -> None:
    """Write one self-contained page of whatever has finished. Summary, tables, curves, origins."""
    from gxpo.results import read_results
    from gxpo.results.report import write_report
    from gxpo.results.tables import make_tables, write_tables

    checked = configuration.read_config(config)
    file = out or Path("results", checked["name"], "report.html")
    results = read_results(checked)
    made = make_tables(results)
    write_report(results, made, file)
    if tables is not None:
        write_tables(made, checked["name"], tables)
    typer.echo(str(file))
    _say_left_out(results)


@app.command()
def mlflow(
    config: Config,
    database: Annotated[Path, typer.Option(help="sqlite file")] = Path("results/mlflow.db"),
) -> None:
    """Import the finished cells into MLflow. Into a database, or the server that
    MLFLOW_TRACKING_URI names; importing twice changes nothing."""
    from gxpo.tracking.importing import import_runs as run

    server = tracking_server()
    count = run(configuration.read_config(config), database, server)
    typer.echo(f"{count} new runs in {redact(server) if server else database}")


def _say_left_out(results: Results) -> bool:
    """Name on standard error the cells that have results which are not comparable; whether there
    are any."""
    for row in results.left_out.itertuples():
        cell = f"{row.model}/{row.label} seed {row.seed}"
        typer.echo(redact(f"not comparable, left out: {cell}: {row.reason}"), err=True)
    return len(results.left_out) > 0


def _end(results: Results) -> None:
    if _say_left_out(results):
        raise typer.Exit(NOT_COMPARABLE)
