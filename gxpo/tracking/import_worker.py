"""``python -m gxpo.tracking.import_worker``: import cells into MLflow, one process of several.

Standard input brings one JSON object: uri, experiment (its id), cells. For each cell a line of JSON
goes to standard output: whether it was new (``mlflow_runs.import_cell``), or why MLflow did not
take it, as a string; that one is the last. Exit code 0 if there is none.
"""

from __future__ import annotations

import json
import signal
import sys

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from gxpo.cells import Cell
from gxpo.tracking.mlflow_runs import import_cell


def main() -> None:
    for number in (signal.SIGINT, signal.SIGPIPE):  # ended, or nobody listens: end without a word
        signal.signal(number, signal.SIG_DFL)
    order = json.load(sys.stdin)
    client = MlflowClient(order["uri"])
    for cell in order["cells"]:
        try:
            answer: bool | str = import_cell(client, order["experiment"], Cell(**cell))
        except MlflowException as error:
            answer = str(error)
        sys.stdout.write(json.dumps(answer) + "\n")  # at once: others write to this pipe
        sys.stdout.flush()
        if isinstance(answer, str):
            sys.exit(1)


if __name__ == "__main__":
    main()
