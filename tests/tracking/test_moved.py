"""A results folder that is moved keeps its MLflow database, and its artifacts."""

import sqlite3
from pathlib import Path

from mlflow.tracking import MlflowClient
from support.fabricate import comparison_config, fabricate

from gxpo.config import complete_config
from gxpo.tracking.importing import import_runs


def curve(cell, benchmark, step):
    return 0.4 + 0.01 * step


def summary_of(folder):
    client = MlflowClient(f"sqlite:///{folder}/results/mlflow.db")
    experiment = client.get_experiment_by_name("test")
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'summary'")
    return client, runs[0]


def test_artifacts_are_found_and_written_where_the_folder_is_now(tmp_path, monkeypatch, capsys):
    old, new = tmp_path / "old", tmp_path / "new place"
    old.mkdir()
    monkeypatch.chdir(old)
    config = complete_config(comparison_config(seeds=(0,)))
    fabricate(config, curve)
    report = old / "results" / "test" / "report.html"
    report.write_text("one")
    import_runs(config, old / "results" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    old.rename(new)
    monkeypatch.chdir(new)

    assert import_runs(config, new / "results" / "mlflow.db") == 0
    artifacts = (new / "results" / "mlflow-artifacts").as_uri()
    assert f"its artifacts are in {artifacts} now" in capsys.readouterr().err
    client, summary = summary_of(new)
    assert [a.path for a in client.list_artifacts(summary.info.run_id)] == ["report.html"]
    assert summary.info.artifact_uri.startswith(f"{artifacts}/")

    (new / "results" / "test" / "report.html").write_text("two")
    import_runs(config, new / "results" / "mlflow.db")
    client, summary = summary_of(new)
    page = Path(client.download_artifacts(summary.info.run_id, "report.html"))
    assert page.read_text() == "two"
    assert not old.exists()
    assert "its artifacts" not in capsys.readouterr().err  # once is enough


def test_artifacts_of_the_users_own_choice_stay_where_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = complete_config(comparison_config(seeds=(0,)))
    fabricate(config, curve)
    database = tmp_path / "mlflow.db"
    client = MlflowClient(f"sqlite:///{database}")
    client.create_experiment("test", artifact_location=(tmp_path / "mine").as_uri())
    import_runs(config, database)
    with sqlite3.connect(database) as connection:
        places = dict(connection.execute("select name, artifact_location from experiments"))
    assert places["test"] == (tmp_path / "mine").as_uri()
