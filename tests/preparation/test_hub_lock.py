"""Commits of the hub are locked once, and stay until an update. The hub is a fake."""

from pathlib import Path

import pytest
from support.preparing import MODEL, raw_config, record

from gxpo.catalog import hub, lock_commit, locked_commit
from gxpo.catalog.hub_lock import LOCK
from gxpo.config import cells, complete_config
from gxpo.host import UserError
from gxpo.preparation.prepare import prepare


def test_a_locked_commit_stays_until_update(fake_hub):
    config = complete_config(raw_config())
    list(prepare(config))
    fake_hub.commit, fake_hub.asked[:] = "b" * 40, []
    for file in Path("data").rglob("*.json*"):
        file.unlink()
    list(prepare(config))
    assert {commit for _, commit in fake_hub.asked} == {"a" * 40}
    list(prepare(config, update=True))
    assert locked_commit("models", MODEL) == locked_commit("datasets", "openai/gsm8k") == "b" * 40
    assert record("amc23")["source"]["commit"] == "b" * 40


def test_files_made_at_another_commit_than_the_locked_one_are_named(fake_hub):
    config = complete_config(raw_config())
    list(prepare(config))
    LOCK.write_text(LOCK.read_text().replace("a" * 40, "c" * 40))  # a colleague's, from git
    assert all("WARNING: made at commit aaaa" in line for line in prepare(config))


def test_the_locked_commit_is_the_models_revision(fake_hub):
    config = complete_config(raw_config())
    assert "revision" not in cells(config)[0].model_spec
    lock_commit("models", MODEL, hub.model_commit)
    assert cells(config)[0].model_spec["revision"] == "a" * 40
    raw = raw_config(models={"tiny": {"path": MODEL, "revision": "d" * 40}})
    assert cells(complete_config(raw))[0].model_spec["revision"] == "d" * 40
    list(prepare(complete_config(raw), only=[MODEL]))
    assert (MODEL, "d" * 40) in fake_hub.asked


def test_a_broken_lock_file_is_refused(workdir):
    LOCK.parent.mkdir()
    LOCK.write_text("datasets: [1]")
    with pytest.raises(UserError, match=r"hub\.lock\.yaml must map datasets and models to names"):
        locked_commit("datasets", "x")
