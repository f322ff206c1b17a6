"""A results folder that was moved: MLflow has noted where its artifacts lay, as absolute paths."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path

ARTIFACTS = "mlflow-artifacts"  # beside the database


def follow_database(database: Path) -> str:
    """The address of the artifacts beside ``database``. Where the database names another folder of
    that name, it was moved with its artifacts: it is told so (MLflow has no call for that; the two
    columns are those of its schema). Else runs would be written to where nothing is any more."""
    here = (database.parent / ARTIFACTS).as_uri()
    if not database.exists():
        return here
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master")}
        if not {"experiments", "runs"} <= tables:
            return here
        places = "select distinct artifact_location from experiments"
        for (there,) in connection.execute(places).fetchall():
            if there and there != here and there.endswith(f"/{ARTIFACTS}"):
                connection.execute(
                    "update runs set artifact_uri = ? || substr(artifact_uri, ?) where "
                    "artifact_uri like ? || '/%'",
                    (here, len(there) + 1, there),
                )
                connection.execute(
                    "update experiments set artifact_location = ? where artifact_location = ?",
                    (here, there),
                )
                print(f"{database}: its artifacts are in {here} now", file=sys.stderr)
    return here
