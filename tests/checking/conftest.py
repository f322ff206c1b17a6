"""A copy of the tiny policy to damage, and a configuration of it."""

import json
import shutil

import pytest
from support.small import small_config

from gxpo.checking import reasons
from gxpo.config import complete_config


@pytest.fixture
def folder(tiny_policy, workdir):
    copy = workdir / "copy"
    shutil.copytree(tiny_policy, copy)
    return copy


@pytest.fixture
def raw(folder):
    return small_config(folder)


@pytest.fixture
def said(raw):
    """said(): what is refused of the configuration."""
    return lambda: list(reasons(complete_config(raw)))


@pytest.fixture
def write(folder):
    """write(name, **keys): changes keys of one of the folder's JSON files."""

    def change(name, **keys):
        file = folder / name
        content = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(content | keys))

    return change
