"""A configuration whose problems and model are of the hub, and the record of what was prepared."""

import json
from pathlib import Path

from support.small import small_config

from gxpo.catalog import benchmarks

MODEL = "someone/some-model"


def raw_config(**changes):
    raw = small_config(Path(MODEL))
    raw["train"]["problems"] = "gsm8k-train"
    raw["evaluate"]["benchmarks"] = {"amc23": {}}
    raw["evaluate"]["selection"] = {"problems": "gsm8k-select", "limit": 2}
    return raw | changes


def record(name):
    return json.loads(benchmarks()[name].record.read_text())
