"""MLflow import: complete, idempotent, equal names for all methods."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient
from support.fabricate import fabricate
from support.small import ROOT, small_config

from gxpo.cells import record_failure
from gxpo.config import cells, complete_config
from gxpo.host import UserError
from gxpo.tracking import importing
from gxpo.tracking.importing import import_runs


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

    monkeypatch.setattr("gxpo.tracking.importing._import", while_importing)
    assert import_runs(config, database) == 0
    try_lock()


RULE = """
from gxpo.method import Method

class Mine(Method):
    def __init__(self, beta: float = 0.5, k: int = 1):
        self.beta, self.k = beta, k

    def update(self, batch):
        return {}
"""


def test_a_rule_may_name_a_hyperparameter_as_training_does(config, workdir):
    (workdir / "mine.py").write_text(RULE)
    methods = {"mine": {"method": str(workdir / "mine.py"), "beta": 0.25, "k": 3}}
    config = complete_config(config | {"methods": methods, "seeds": [0]})
    fabricate(config, curve)
    import_runs(config, workdir / "mlflow.db")
    _, (run,) = runs_of(workdir / "mlflow.db")
    found = {key: run.data.params[key] for key in ("beta", "rule.beta", "k")}
    assert found == {"beta": str(config["train"]["beta"]), "rule.beta": "0.25", "k": "3"}


def test_failed_cells_are_not_imported(config, workdir):
    fabricate(config, curve)
    record_failure(cells(config)[0].folder, "evaluate", "x")
    assert import_runs(config, workdir / "mlflow.db") == 3


def history(database):
    """Every value of every run of a database, by the run's name."""
    client, runs = runs_of(database)
    return sorted(
        (run.info.run_name, sorted(run.data.params.items()), key, m.step, m.value)
        for run in runs
        for key in run.data.metrics
        for m in client.get_metric_history(run.info.run_id, key)
    )


def test_totals_come_with_the_last_step(config, workdir):
    database = workdir / "mlflow.db"
    fabricate(config, curve)
    import_runs(config, database)
    client, (run, *_) = runs_of(database)
    for name, steps in (("train_seconds", [6]), ("backward_passes", [1, 2, 3, 4, 5, 6])):
        values = client.get_metric_history(run.info.run_id, f"train/{name}")
        assert [(m.step, m.value) for m in values] == [(step, step) for step in steps]


def test_many_cells_are_imported_side_by_side(config, workdir, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    fabricate(config, curve)
    assert import_runs(config, workdir / "one.db") == 4
    monkeypatch.setattr(importing, "MANY", 1)
    assert import_runs(config, workdir / "two.db") == 4
    assert import_runs(config, workdir / "two.db") == 0
    assert history(workdir / "two.db") == history(workdir / "one.db")


KILLED = """
import os, signal, yaml
from pathlib import Path
from gxpo.tracking import importing as tracking
side_by_side = tracking._import_side_by_side
def killed(*arguments):
    next(side_by_side(*arguments))
    os.kill(os.getpid(), signal.SIGKILL)
tracking.MANY, tracking._import_side_by_side = 1, killed
tracking.import_runs(yaml.safe_load(Path("complete.yaml").read_text()), Path("mlflow.db"))
"""


def test_a_killed_import_leaves_nothing_twice(config, workdir, monkeypatch):
    """Its processes go on for a cell at most, and hold the lock until then."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    fabricate(config, curve)
    (workdir / "complete.yaml").write_text(yaml.safe_dump(config))
    killed = subprocess.run([sys.executable, "-c", KILLED], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    import_runs(config, workdir / "mlflow.db")
    import_runs(config, workdir / "whole.db")
    assert history(workdir / "mlflow.db") == history(workdir / "whole.db")


def test_a_process_that_fails_says_why(config, workdir, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(importing, "MANY", 1)
    bad = cells(config)[2]
    fabricate(
        config,
        curve,
        metrics=lambda cell, step: {"train_seconds": 1e99} if (cell, step) == (bad, 1) else {},
    )
    with pytest.raises(UserError, match=r"mlflow\.db: .*too large.* \(no result is lost: run this"):
        import_runs(config, workdir / "mlflow.db")
    fabricate(config, curve)
    import_runs(config, workdir / "mlflow.db")
    import_runs(config, workdir / "whole.db")
    assert history(workdir / "mlflow.db") == history(workdir / "whole.db")


def test_an_experiment_that_was_deleted_says_how_to_restore_it(config, workdir):
    """MLflow keeps its name: running the import again would end the same way for ever."""
    fabricate(config, curve)
    database = workdir / "mlflow.db"
    assert import_runs(config, database) == len(cells(config))
    before = history(database)
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name(config["name"])
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(UserError, match="has been deleted there: restore it with `") as caught:
        import_runs(config, database)
    assert "run this again" not in str(caught.value)
    restore = str(caught.value).split("`")[1]
    assert restore.startswith(
        f"MLFLOW_TRACKING_URI=sqlite:///{database} mlflow experiments restore"
    )
    setting, *command = restore.split()
    environment = os.environ | dict([setting.split("=", 1)])
    subprocess.run([sys.executable, "-m", *command], env=environment, check=True, timeout=200)
    assert import_runs(config, database) == 0  # all is there again
    assert history(database) == before
