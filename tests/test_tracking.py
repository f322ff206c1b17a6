"""MLflow import: complete, idempotent, equal names for all methods."""

import fcntl
from pathlib import Path

import pytest
from conftest import small_config
from fabricate import fabricate
from mlflow.tracking import MlflowClient

from gxpo.config import complete_config
from gxpo.runs import record_failure
from gxpo.tracking import import_runs


@pytest.fixture
def config(tiny_policy, workdir):
    methods = {"base": {"method": "grpo"}, "fast": {"method": "gxpo", "k": 7}}
    return complete_config(small_config(tiny_policy, seeds=[0, 1], methods=methods))


def curve(cell, benchmark, step):
    return 0.1 * (cell.seed + 1) + 0.01 * step


def runs_of(database):
    client = MlflowClient(f"sqlite:///{database.resolve()}")
    experiment = client.get_experiment_by_name("test")
    return client, client.search_runs([experiment.experiment_id])


def test_import_is_complete_and_idempotent(config, workdir):
    database = workdir / "results" / "mlflow.db"
    fabricate(config, curve, active={"fast": 3})
    assert import_runs(config, database) == 4
    client, runs = runs_of(database)
    assert len(runs) == 4
    names = {frozenset(run.data.metrics) for run in runs}
    assert len(names) == 1
    assert {"train/reward", "train/active", "eval/words/pass_at_1"} <= next(iter(names))
    run = next(r for r in runs if r.info.run_name == "tiny/fast/seed1")
    assert run.data.params["k"] == "7"
    assert run.data.tags["method"] == "fast"
    history = client.get_metric_history(run.info.run_id, "eval/words/pass_at_1")
    assert [(m.step, round(m.value, 6)) for m in history] == [
        *((0, 0.2), (2, 0.22), (4, 0.24), (6, 0.26))
    ]
    assert len(client.get_metric_history(run.info.run_id, "train/reward")) == 6
    first = sorted(r.info.run_id for r in runs)

    assert import_runs(config, database) == 0
    assert sorted(r.info.run_id for r in runs_of(database)[1]) == first


def test_tables_figures_and_report_are_artifacts_of_a_summary_run(config, workdir):
    database, results = workdir / "results" / "mlflow.db", workdir / "results" / "test"
    fabricate(config, curve)
    for name in ("report.html", "tables/tables.md", "tables/a.csv", "figures/b.png", "other.txt"):
        (results / name).parent.mkdir(exist_ok=True)
        (results / name).write_text(name)

    def summaries():
        client, runs = runs_of(database)
        return client, [run for run in runs if run.data.tags.get("kind") == "summary"]

    assert import_runs(config, database) == 4  # the summary is no cell
    client, (run,) = summaries()
    found = [
        a.path for f in ("", "tables", "figures") for a in client.list_artifacts(*place(run, f))
    ]
    files = [
        "figures",
        "report.html",
        "tables",
        "tables/a.csv",
        "tables/tables.md",
        "figures/b.png",
    ]
    assert found == files
    assert run.info.status == "FINISHED"

    import_runs(config, database)
    assert summaries()[1][0].info.run_id == run.info.run_id  # nothing changed
    (results / "tables" / "a.csv").write_text("other numbers")
    import_runs(config, database)
    (_, (new,)) = summaries()
    assert new.info.run_id != run.info.run_id
    copy = client.download_artifacts(new.info.run_id, "tables/a.csv", str(workdir))
    assert Path(copy).read_text() == "other numbers"


def place(run, folder):
    return (run.info.run_id, folder) if folder else (run.info.run_id,)


def test_a_changed_cell_replaces_its_run(config, workdir):
    database = workdir / "mlflow.db"
    fabricate(config, curve)
    import_runs(config, database)
    fabricate(config, lambda c, b, s: 0.9 if (c.label, c.seed) == ("base", 0) else curve(c, b, s))
    assert import_runs(config, database) == 1
    _, runs = runs_of(database)
    assert len(runs) == 4
    run = next(r for r in runs if r.info.run_name == "tiny/base/seed0")
    assert run.data.metrics["eval/words/pass_at_1"] == 0.9


def test_an_interrupted_import_is_made_whole(config, workdir):
    database = workdir / "mlflow.db"
    fabricate(config, curve)
    import_runs(config, database)
    client, runs = runs_of(database)
    client.delete_tag(runs[0].info.run_id, "content_sha256")  # as if killed before the end
    assert import_runs(config, database) == 1
    assert len(runs_of(database)[1]) == 4


def test_imports_into_a_database_take_turns(config, workdir, monkeypatch):
    """Two at a time would both miss, and both add, a run."""
    database = workdir / "mlflow.db"

    def try_lock():
        with database.with_suffix(".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def while_importing(*_):
        with pytest.raises(BlockingIOError):
            try_lock()
        return 0

    monkeypatch.setattr("gxpo.tracking._import", while_importing)
    assert import_runs(config, database) == 0
    try_lock()


def test_failed_cells_are_not_imported(config, workdir):
    fabricate(config, curve)
    from gxpo.config import cells

    record_failure(cells(config)[0].folder, "evaluate", "x")
    assert import_runs(config, workdir / "mlflow.db") == 3
