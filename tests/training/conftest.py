"""Whole runs, which the tests of resuming compare with."""

import pytest
from support.killing import cell_of, raw_config

import gxpo.training.cell as training

# Of six steps; checkpoints are due after 2, 4 and 6.


@pytest.fixture(scope="session")
def whole(tiny_policy, tmp_path_factory):
    """label -> the folder of its uninterrupted run."""
    folders = {}

    def run(label):
        if label not in folders:
            folder = tmp_path_factory.mktemp(label)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                training.train(cell_of(raw_config(tiny_policy, label)))
            folders[label] = folder
        return folders[label]

    return run
