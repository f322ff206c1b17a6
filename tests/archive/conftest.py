"""A run of seconds, finished once, and its archive."""

import contextlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml
from support.small import small_config

from gxpo.archive.crate import files_of
from gxpo.archive.layout import METADATA
from gxpo.archive.pack import pack, zip_folder
from gxpo.config import cells, complete_config
from gxpo.evaluation.cell import evaluate
from gxpo.host import file_sha256
from gxpo.training.cell import train

RULE = """from gxpo.method import Method


class Mine(Method):
    def __init__(self):
        pass

    def update(self, batch):
        batch.backward()
        batch.step()
        return {}
"""
LABELS = {"grpo": {"method": "grpo"}, "mine": {"method": "mine.py"}}


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny_policy) -> Path:
    """A working directory in which the four cells of config.yaml have finished."""
    folder = tmp_path_factory.mktemp("finished")
    with contextlib.chdir(folder):
        Path("mine.py").write_text(RULE)
        raw = small_config(tiny_policy, methods=LABELS, seeds=[0, 1])
        raw["train"] |= {"steps": 2}
        Path("config.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        for cell in cells(complete_config(raw)):
            train(cell)
            evaluate(cell)
    return folder


@pytest.fixture(scope="session")
def archive(finished, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("archive") / "test.crate.zip"
    with contextlib.chdir(finished):
        pack(complete_config(yaml.safe_load(Path("config.yaml").read_text())), out, "CC-BY-4.0")
    return out


@pytest.fixture
def changed(archive, tmp_path):
    """Makes an archive in which somebody has changed a file: changed(name, change), whose hash in
    the metadata they have made right too where hidden is true."""

    def make(name, change, hidden=False):
        folder = tmp_path / "unpacked"
        shutil.rmtree(folder, ignore_errors=True)
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
        (path,) = folder.glob(name)
        before = path.read_bytes()
        path.write_bytes(change(before))
        assert path.read_bytes() != before
        if hidden:
            metadata = json.loads((folder / METADATA).read_bytes())
            for entry in metadata["@graph"]:
                if entry["@id"] == str(path.relative_to(folder)):
                    entry["sha256"] = file_sha256(path)
            (folder / METADATA).write_text(json.dumps(metadata))
        assert files_of(folder)
        zip_folder(folder, out := tmp_path / "changed.zip")
        return out

    return make
