"""A configuration to break in one place."""

import pytest
from support.small import small_config


@pytest.fixture
def raw(tiny_policy, workdir):
    return small_config(tiny_policy)
