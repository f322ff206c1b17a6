"""End a training of this process at a step, and compare its end with that of a whole run."""

import os
import signal

from support.killing import outcome

import gxpo.training.cell as training


def after_row(monkeypatch, step, action):
    """Do ``action`` when the row of ``step`` is written, before a checkpoint of that step is."""
    on_log = training.MetricsWriter.on_log

    def patched(self, args, state, control, logs=None, **kwargs):
        on_log(self, args, state, control, logs=logs, **kwargs)
        if state.global_step == step and "reward" in logs:
            action()

    monkeypatch.setattr(training.MetricsWriter, "on_log", patched)


def die():
    raise KeyboardInterrupt


def sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


def sigint():
    os.kill(os.getpid(), signal.SIGINT)


def assert_same(cell, expected, workdir):
    rows, weights = outcome(workdir, cell)
    expected_rows, expected_weights = outcome(expected, cell)
    assert rows == expected_rows
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert len(weights) == 3
    assert weights == expected_weights
