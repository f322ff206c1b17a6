"""The ``gxpo`` command: one subcommand per stage of the pipeline, each a plain Python function.

Exit codes: 0 done; 1 the cell failed (its reason is in failure.json), a bound of the benchmark is
missed, or the doctor has found a problem; 2 bad input; 75 training was stopped by SIGTERM, SIGUSR1
or the end of its walltime and has left a checkpoint, or another process works on the cell: start
the same command again.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

# The libraries' own bars and integrations: ours are enough, and importing mlflow into every
# training process costs a second. Set before anything imports tqdm or transformers.
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("DISABLE_MLFLOW_INTEGRATION", "TRUE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import typer

from gxpo import config as configuration
from gxpo.cell_lock import sole_worker
from gxpo.config import Cell
from gxpo.errors import Busy, CellError, Interrupted, UserError
from gxpo.failures import disk_full
from gxpo.launch import is_launched, launch
from gxpo.live import HTTP, tracking_server
from gxpo.redaction import redact
from gxpo.runs import record_failure
from gxpo.site import SITE, read_site
from gxpo.slurm import seconds_left

app = typer.Typer(
    help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)

Config = Annotated[Path, typer.Argument(help="run configuration (YAML), as config/demo.yaml")]
Model = Annotated[str, typer.Option(help="a label under models: in the configuration")]
Label = Annotated[str, typer.Option(help="a label under methods: in the configuration")]
Seed = Annotated[int, typer.Option(help="one of seeds: in the configuration")]


@app.command()
def check(config: Config) -> None:
    """Check a configuration and list its cells; nothing is run."""
    checked = configuration.read_config(config)
    for cell in configuration.cells(checked):
        typer.echo(str(cell.folder))
    sources = {spec["problems"] for _, spec in configuration.problem_sources(checked)}
    for name in sorted(name for name in sources if not configuration.is_prepared(name)):
        typer.echo(f"note: problems {name!r} are not prepared yet: gxpo prepare {config}", err=True)


@app.command()
def doctor(
    config: Annotated[Path | None, typer.Argument(help="whose needs to check as well")] = None,
) -> None:
    """Tell what would stop a run on this machine or cluster: a line a check, ok, warning or
    problem with what to do. Changes nothing. Exit code 1 where there is a problem."""
    checked = configuration.read_config(config) if config else None
    site = read_site(Path(os.environ.get("GXPO_SITE", SITE)))
    if site.scratch:  # as the pipeline does, before anything reads it
        os.environ.setdefault("HF_HOME", str(site.scratch / "huggingface"))
    os.environ.update(HTTP)
    from gxpo.doctor import PROBLEM, examine

    levels = []
    for finding in examine(checked, site):
        levels.append(finding.level)
        typer.echo(redact(str(finding)))
    typer.echo(", ".join(f"{levels.count(name)} {name}" for name in dict.fromkeys(levels)))
    if PROBLEM in levels:
        raise typer.Exit(1)


@app.command()
def prepare(
    config: Config,
    only: Annotated[
        list[str] | None, typer.Option(help="one problem set or hub model; default: all")
    ] = None,
    local: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="a JSONL file to use for a problem set"),
    ] = None,
    update: Annotated[
        bool, typer.Option(help="move to the hub's newest commits, and fetch everything anew")
    ] = False,
) -> None:
    """Fetch the problem sets and models of a configuration, where there is network; the rest of
    the pipeline needs none. Commit config/hub.lock.yaml, which pins what was fetched."""
    checked = configuration.read_config(config)
    from gxpo.prepare import prepare as run

    pairs = [item.partition("=") for item in local or []]
    for name, _, file in pairs:
        if not file:
            raise UserError(f"--local {name!r}: expected NAME=FILE")
    for line in run(checked, only or [], {name: Path(file) for name, _, file in pairs}, update):
        typer.echo(line)


@app.command()
def plan(
    config: Config,
    rollout: Annotated[
        float | None, typer.Option(help="sampled tokens a second, of 1 B parameters on one GPU")
    ] = None,
    backward: Annotated[
        float | None,
        typer.Option(help="tokens a second forward and backward, of 1 B parameters on one GPU"),
    ] = None,
    length_fraction: Annotated[
        float | None, typer.Option(help="mean completion / max_completion_length")
    ] = None,
    prompt_tokens: Annotated[float | None, typer.Option(help="mean prompt")] = None,
    active_fraction: Annotated[
        float | None, typer.Option(help="of the steps on which a rule acts; default: all")
    ] = None,
) -> None:
    """Price a configuration before it runs: cells, jobs, tokens, passes, GPU hours, disk."""
    checked = configuration.read_config(config)
    from gxpo.plan import Assumptions, report

    given = {
        "rollout": rollout,
        "backward": backward,
        "length_fraction": length_fraction,
        "prompt_tokens": prompt_tokens,
        "active_fraction": active_fraction,
    }
    assumed = {name: value for name, value in given.items() if value is not None}
    typer.echo(report(checked, Assumptions(**assumed)))


@app.command()
def warmstart(config: Config, model: Model) -> None:
    """Make and warm-start the tiny policy MODEL (a model with an architecture, not a path)."""
    checked = configuration.read_config(config)
    label, seed = next(iter(checked["methods"])), checked["seeds"][0]
    cell = configuration.get_cell(checked, model, label, seed)
    if "architecture" not in cell.model_spec:
        raise UserError(f"model {model!r} has a path: only tiny models are made by warmstart")
    with _quick_imports():
        from gxpo.warmstart import warmstart as run

    spec = cell.model_spec
    run(spec["architecture"], Path(cell.model_path), spec["warmstart_steps"])


@app.command()
def train(
    config: Config,
    model: Model,
    label: Label,
    seed: Seed,
    processes: Annotated[int, typer.Option(help="one a GPU of this machine; 0 as 1")] = 1,
    stop_before: Annotated[
        float | None,
        typer.Option(help="in a Slurm job: checkpoint and stop so many minutes before its end"),
    ] = None,
) -> None:
    """Train one cell: model x method label x seed. Resumes what a killed run left."""
    checked = configuration.read_config(config)
    cell = configuration.get_cell(checked, model, label, seed)
    _stay_offline()
    if processes > 1 and not is_launched():
        resources = checked["models"][model].get("resources", {})
        launch(processes, resources.get("parallel", "fsdp2"), sys.argv[1:])
    with _working_on(cell, "train"):
        with _quick_imports():
            from gxpo.train import train as run
        run(cell, _training_seconds(stop_before))


@app.command()
def evaluate(config: Config, model: Model, label: Label, seed: Seed) -> None:
    """Evaluate every checkpoint of one trained cell: sampled pass@1 through lm-eval."""
    cell = configuration.get_cell(configuration.read_config(config), model, label, seed)
    _stay_offline()
    with _working_on(cell, "evaluate"):
        with _quick_imports():
            from gxpo.evaluate import evaluate as run
        run(cell)


@app.command()
def tables(
    config: Config,
    out: Annotated[Path | None, typer.Option(help="default: results/<name>/tables")] = None,
) -> None:
    """Make the tables (CSV, Markdown, LaTeX) from whatever has finished, and print them."""
    from gxpo.results import read_results
    from gxpo.tables import make_tables, write_tables

    checked = configuration.read_config(config)
    folder = out or Path("results", checked["name"], "tables")
    write_tables(make_tables(read_results(checked)), checked["name"], folder)
    typer.echo((folder / "tables.md").read_text(encoding="utf-8"))


@app.command()
def claims(config: Config) -> None:
    """Print the papers' headline claims and what the finished runs say of them."""
    from gxpo.results import read_results
    from gxpo.tables.claims import claims as table
    from gxpo.tables.table import markdown

    typer.echo(markdown(table(read_results(configuration.read_config(config)))))


@app.command()
def figures(config: Config) -> None:
    """Draw the figures (PNG, PDF) from whatever has finished."""
    from gxpo.figures import draw_figures
    from gxpo.results import read_results

    checked = configuration.read_config(config)
    for file in draw_figures(read_results(checked), Path("results", checked["name"], "figures")):
        typer.echo(str(file))


@app.command()
def report(
    config: Config,
    out: Annotated[Path | None, typer.Option(help="default: results/<name>/report.html")] = None,
    tables: Annotated[
        Path | None, typer.Option(help="a folder for the tables too, from the same reading")
    ] = None,
) -> None:
    """Write one self-contained page of whatever has finished: summary, tables, curves, origins."""
    from gxpo.report import write_report
    from gxpo.results import read_results
    from gxpo.tables import make_tables, write_tables

    checked = configuration.read_config(config)
    file = out or Path("results", checked["name"], "report.html")
    results = read_results(checked)
    made = make_tables(results)
    write_report(results, made, file)
    if tables is not None:
        write_tables(made, checked["name"], tables)
    typer.echo(str(file))


@app.command()
def surrogate(
    config: Config,
    model: Annotated[str | None, typer.Option(help="a label under models:; default: first")] = None,
) -> None:
    """Measure how well GXPO predicts K real steps: closed forms, and the policy MODEL."""
    checked = configuration.read_config(config)
    _stay_offline()
    with _quick_imports():
        from gxpo.surrogate import surrogate as run

    for file in run(checked, model):
        typer.echo(str(file))


@app.command()
def gates(
    config: Annotated[Path | None, typer.Argument(help="whose runs to replay, if any")] = None,
    label: Annotated[str | None, typer.Option(help="a label with gate: never")] = None,
) -> None:
    """Show when each switch-off gate closes: on stationary noise, and over recorded runs."""
    from gxpo.gate_study import gates as run

    files, remark = run(configuration.read_config(config) if config else None, label)
    typer.echo(remark)
    for file in files:
        typer.echo(str(file))


@app.command()
def mlflow(
    config: Config,
    database: Annotated[Path, typer.Option(help="sqlite file")] = Path("results/mlflow.db"),
) -> None:
    """Import the finished cells into an MLflow database, or where MLFLOW_TRACKING_URI names a
    server, into that; importing twice changes nothing."""
    from gxpo.tracking import import_runs as run

    server = tracking_server()
    count = run(configuration.read_config(config), database, server)
    typer.echo(f"{count} new runs in {redact(server) if server else database}")


@app.command()
def bench(
    quick: Annotated[
        bool,
        typer.Option(help="under a minute: the tiny policy alone; bounds are printed, not judged"),
    ] = False,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="paired rounds of every model; default: each its own")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the medians and every value to this file")
    ] = None,
) -> None:
    """Measure what the suite and its rules cost beyond GRPO, in time and memory; some minutes.

    Prints a table. Exit code 1 where a bound is missed, except with --quick. See docs/benchmark.md.
    """
    with _quick_imports():
        from gxpo.bench.report import all_held, as_json, table
        from gxpo.bench.run import bench as run
    from gxpo import provenance

    measurements = run(quick, rounds)
    typer.echo(table(measurements))
    if json_file is not None:
        origin = {"hardware": provenance.hardware(), "versions": provenance.versions()}
        text = json.dumps({**as_json(measurements), **origin}, indent=2)
        json_file.write_text(text + "\n", encoding="utf-8")
    if not quick and not all_held(measurements):
        raise typer.Exit(1)


def _training_seconds(stop_before: float | None) -> float | None:
    """How long training may go on, by its Slurm job's walltime; None without a limit."""
    if stop_before is None:
        return None
    left = seconds_left()
    return None if left is None else left - 60 * stop_before


def _stay_offline() -> None:
    """Compute nodes have no network, only preparation needs it. HF_HUB_OFFLINE=0 overrides."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


@contextlib.contextmanager
def _quick_imports() -> Iterator[None]:
    """Collecting garbage while torch and its friends are imported frees nothing; freezing what
    was imported keeps it out of all later collections, the one at exit included. Saves 2.5 s of
    12 in a process that does nothing else."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def _working_on(cell: Cell, stage: str) -> Iterator[None]:
    """Be the cell's only process, and leave the reason of a failure in the cell's folder, where
    tables and reports find it."""
    try:
        with sole_worker(cell.folder, stage), _recording_failure(cell, stage):
            yield
    except Busy as other:
        typer.echo(f"{stage}: {other}; start the same command again when it has ended", err=True)
        raise typer.Exit(os.EX_TEMPFAIL) from other


@contextlib.contextmanager
def _recording_failure(cell: Cell, stage: str) -> Iterator[None]:
    try:
        yield
    except (CellError, FloatingPointError) as error:
        _fail(cell, stage, str(error))
    except Interrupted as stop:
        typer.echo(f"cell {cell.folder}: {stop}; start the same command again", err=True)
        raise typer.Exit(os.EX_TEMPFAIL) from stop
    except Exception as error:
        if reason := disk_full(error, cell.folder):
            _fail(cell, stage, reason)
        record_failure(cell.folder, stage, f"{type(error).__name__}: {error}".split("\n")[0])
        raise


def _fail(cell: Cell, stage: str, reason: str) -> NoReturn:
    """End with a line instead of a traceback: the reason is known."""
    typer.echo(redact(f"cell {cell.folder} failed: {reason}"), err=True)
    try:
        record_failure(cell.folder, stage, reason)
    except OSError as error:
        typer.echo(f"cell {cell.folder}: the reason is not recorded: {error}", err=True)
    raise typer.Exit(1)


def refuse_pickles() -> None:
    """Of pickled files (optimizer states) torch reads tensors and plain values only, whoever asks
    for more: this setting stands above the arguments of torch.load."""
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2, not a traceback."""
    refuse_pickles()
    try:
        app()
    except UserError as error:
        typer.echo(redact(f"error: {error}"), err=True)
        sys.exit(2)
    except Exception:
        sys.excepthook = _print_traceback  # not before: typer puts its own in place
        raise


def _print_traceback(*error: Any) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(*error))))


if __name__ == "__main__":
    main()
