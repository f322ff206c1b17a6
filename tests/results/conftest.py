"""What the tests of the page of a run compare; the other files have configurations of their own."""

import pytest
from support.fabricate import comparison_config

from gxpo.config import complete_config


@pytest.fixture
def config(workdir):
    return complete_config(comparison_config(models=("tiny", "other")))
