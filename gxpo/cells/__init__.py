"""A cell, one run of the comparison: its settings, the files of its folder, how far it has come.

May import ``host``. Knows no configuration file, no model, no statistics.
"""

from gxpo.cells.cell import LATER_KEYS, Cell, cell_folder, due_labels, evaluation_sets
from gxpo.cells.checkpoints import MANIFEST, RESUMABLE, step_of
from gxpo.cells.failures import disk_full
from gxpo.cells.files import (
    EVALUATION,
    FAILURE,
    METRICS,
    PROBLEM_SCORES,
    RUN,
    SAMPLES,
    SCORES,
    STATE,
    checkpoint_folder,
    checkpoint_steps,
    record_failure,
    write_json,
)
from gxpo.cells.lock import hold_until_exit, sole_worker
from gxpo.cells.metrics import (
    COLUMNS,
    TRL_NAMES,
    append_row,
    finite_or_none,
    keep_rows_until,
    read_rows,
)
from gxpo.cells.status import evaluation_settings, read_run, trained_run
