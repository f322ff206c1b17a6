"""Results of a colleague, or on a read-only disk: one line that names the folder and its owner."""

import os
from pathlib import Path

import pytest
import yaml
from support.fabricate import comparison_config, fabricate
from support.small import run
from support.somebody_else import as_nobody, public_folder

from gxpo.cells import sole_worker
from gxpo.checking import reasons
from gxpo.checking.folders import refuse_denied
from gxpo.config import cells, complete_config
from gxpo.host import UserError, denial, denied
from gxpo.tracking.importing import import_runs


@pytest.fixture
def read_only(monkeypatch):
    """read_only(path, ...): os.access says that these may not be written to."""
    locked, access = set(), os.access

    def asked(path, mode, **options):
        return Path(path) not in locked and access(path, mode, **options)

    monkeypatch.setattr(os, "access", asked)
    return lambda *paths: locked.update(map(Path, paths))


@pytest.fixture
def config(workdir):
    return complete_config(comparison_config(seeds=(0, 1)))


def test_what_may_be_written_to_is_no_problem(workdir):
    (workdir / "file").touch()
    assert [denied(Path(name)) for name in ("file", ".", "not/there/yet")] == [None] * 3


@pytest.mark.parametrize(
    "path",
    ["results", "results/test", "results/test/runs", "results/test/lock", "results/mlflow.db"],
)
def test_a_shared_folder_or_file_is_refused(config, read_only, path):
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch() if "." in path or path.endswith("lock") else file.mkdir()
    assert list(reasons(config)) == []
    read_only(path)
    (reason,) = reasons(config)
    assert f"{path} cannot be read or written: it belongs to " in reason
    assert "ask for write access" in reason


@pytest.mark.parametrize("name", ["", "lock", "log.txt", "state", "state/metrics.jsonl"])
def test_a_cell_that_is_to_be_run_is_refused_and_a_finished_one_is_not(config, read_only, name):
    finished, other = cells(config)[:2]
    fabricate(config, lambda cell, *_: 0.5 if cell == finished else None)
    for cell in (finished, other):
        (cell.folder / "state").mkdir(parents=True, exist_ok=True)
        for file in ("lock", "log.txt", "state/metrics.jsonl"):
            (cell.folder / file).touch()
    read_only(finished.folder / name)
    assert list(reasons(config)) == []
    read_only(other.folder / name)
    (reason,) = reasons(config)
    assert f"{other.folder / name} cannot be read or written" in reason


def test_data_that_is_still_to_be_fetched_needs_a_folder_for_it(workdir, read_only):
    raw = comparison_config()
    raw["train"]["problems"] = "math-train"
    Path("data").mkdir()
    read_only("data")
    assert "the folder data cannot be" in next(reasons(complete_config(raw)))
    row = '{"id": ID, "problem": "ID + 1 ?", "answer": 2}\n'
    rows = [row.replace("ID", str(i)) for i in range(64)]
    Path("data", "math-train.jsonl").write_text("".join(rows))
    assert list(reasons(complete_config(raw))) == []  # nothing will be written there


def test_the_import_names_a_read_only_database(config, workdir, read_only):
    Path("results").mkdir()
    Path("results/mlflow.db").touch()
    read_only(Path("results/mlflow.db"))
    with pytest.raises(UserError, match=r"the file results/mlflow\.db cannot be read or written"):
        import_runs(config, Path("results/mlflow.db"))


def test_a_permission_denied_anywhere_is_one_line(config, monkeypatch, capsys):
    Path("c.yaml").write_text(yaml.safe_dump(config))
    Path("closed").mkdir()

    def closed(*_):
        raise PermissionError(13, "Permission denied", "closed/tables.md")

    monkeypatch.setattr("gxpo.results.tables.write_tables", closed)
    assert run(monkeypatch, "tables", "c.yaml") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the folder closed cannot be read or written: it belongs to ")
    assert error.count("\n") == 1


def test_replacing_a_file_is_a_matter_of_its_folder(workdir):
    Path("shared").mkdir()
    Path("shared/run.json").touch()
    assert denial(Path("shared/run.json")).startswith("the folder shared cannot be")


def test_another_users_cell_is_refused_for_real():
    """No stand-in: the cell is root's, the process is nobody's."""
    with public_folder() as folder:
        config = complete_config(comparison_config(seeds=(0,)))
        (cell, *_) = cells(config)
        cell.folder.mkdir(parents=True)
        (cell.folder / "lock").touch()
        cell.folder.chmod(0o755)
        line = (
            "the folder results/test cannot be read or written: it belongs to root, this is nobody"
        )
        assert line in as_nobody(lambda: refuse_denied(cells(config)))
        said = as_nobody(lambda: sole_worker(cell.folder, "train").__enter__())
        assert said.startswith(f"UserError: the folder {cell.folder} cannot be read or written: it")
        for open_folder in (cell.folder, *cell.folder.parents):
            if open_folder.is_relative_to("results"):
                open_folder.chmod(0o777)
        said = as_nobody(lambda: sole_worker(cell.folder, "train").__enter__())
        assert said.startswith(f"UserError: the file {cell.folder}/lock cannot be read or written")
        folder.joinpath(cell.folder, "lock").unlink()
        assert as_nobody(lambda: refuse_denied(cells(config))) == "None"
        (cell.folder.parent).chmod(0o700)  # not even to be looked into
        assert f"the folder {cell.folder.parent} cannot" in as_nobody(
            lambda: refuse_denied(cells(config))
        )
