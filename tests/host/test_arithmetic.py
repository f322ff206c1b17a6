"""``numerics: portable``: what is pinned before torch, what stands in the way, what is recorded."""

import json
import os
import platform
import subprocess
import sys

import pytest
import torch
from support.small import ROOT

from gxpo.config import complete_config
from gxpo.host import arithmetic
from gxpo.host.variables import PINNED, TABLE, THREADS

PROGRAM = """
import json, os, sys
from gxpo.host import arithmetic
arithmetic.pin({numerics!r}, threads={threads}, gpus={gpus})
import torch
arithmetic.begin({numerics!r}, {threads})
print(json.dumps([torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(),
                  arithmetic.record(), dict(os.environ)]))
"""


def process(numerics="portable", threads=1, gpus=False, before="", **variables):
    """What a process of its own ends up with, and its standard error."""
    program = before + PROGRAM.format(numerics=numerics, threads=threads, gpus=gpus)
    pinned = {name for row in TABLE if row.treatment == PINNED for name in row.names.split()}
    clean = {k: v for k, v in os.environ.items() if k not in pinned | {*THREADS}}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=clean | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def test_portable_pins_kernels_and_threads():
    (capability, threads, record, environment), said = process(threads=2)
    assert capability == "AVX2"
    assert threads == 2
    assert record["asked"]
    for row in TABLE:
        if row.treatment == PINNED:
            assert environment.get(row.names) == (None if row.on_gpus else row.value)
    assert {environment[name] for name in THREADS} == {"2"}
    assert "not used" not in said


def test_a_users_own_choice_is_replaced_with_a_line():
    (_, _, _, environment), said = process(MKL_CBWR="AVX512", OMP_NUM_THREADS="7")
    assert environment["MKL_CBWR"] == "COMPATIBLE"
    assert said.startswith("not used: MKL_CBWR=AVX512: numerics: portable decides the kernels")


def test_on_gpus_their_variables_are_set_too():
    (_, _, _, environment), _ = process(gpus=True)
    assert environment["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert environment["VLLM_BATCH_INVARIANT"] == "1"


def test_fast_leaves_everything_alone():
    mine = {"MKL_CBWR": "AVX2", "OMP_NUM_THREADS": "3"}
    (_, _, record, environment), said = process("fast", **mine)
    assert mine.items() <= environment.items()
    assert record == {"asked": False, "limits": []}
    assert said == ""


def test_what_was_imported_too_early_is_said_and_recorded():
    (_, _, record, _), said = process(before="import torch\n")
    assert "torch was imported before its kernels were chosen" in record["limits"]
    assert "numerics: portable, but torch was imported before" in said


def test_what_a_parent_has_pinned_is_not_too_late():
    """The processes of one cell, and of the tests, start with the variables set."""
    pinned = {r.names: r.value for r in TABLE if r.treatment == PINNED and not r.on_gpus}
    (_, _, record, _), _ = process(before="import torch\n", **pinned)
    assert not any("imported before" in line for line in record["limits"])


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("platform.machine", lambda: "aarch64", "another kind than x86-64 (aarch64)"),
        ("_flags", lambda: {"sse2", "fma"}, "this processor has no AVX2"),
        ("_flags", lambda: set(), "this processor has no AVX2 and no FMA"),
        ("version", lambda _: "2.9.1+cpu", "torch is 2.9.1, published numbers are of"),
    ],
)
def test_limits_are_said_in_words(monkeypatch, attribute, value, words):
    monkeypatch.setattr(f"gxpo.host.arithmetic.{attribute}", value)
    assert any(words in line for line in arithmetic.limits())


def test_a_torch_without_mkl_is_a_limit(monkeypatch):
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert any("without MKL" in line for line in arithmetic.limits())


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a processor of another kind")
def test_the_tested_build_on_such_a_processor_has_no_limit():
    if "avx2" in arithmetic._flags() and not torch.cuda.is_available():
        assert arithmetic.limits() == []


def raw_config(**changes):
    return {
        "name": "test",
        "seeds": [0],
        "models": {"tiny": {"architecture": "qwen2", **changes.pop("model", {})}},
        "methods": {"grpo": {"method": "grpo"}},
        "train": {"problems": "synthetic/train", "steps": 2},
        "evaluate": {
            "every": 1,
            "benchmarks": {"words": {"problems": "synthetic/test"}},
            "selection": {"problems": "synthetic/selection"},
        },
        **changes,
    }


def test_portable_is_the_default_of_runs_on_a_cpu(workdir):
    assert complete_config(raw_config())["numerics"] == "portable"
    on_gpus = raw_config(model={"resources": {"gpu": 1}})
    assert complete_config(on_gpus)["numerics"] == "fast"
    assert complete_config(on_gpus | {"numerics": "portable"})["numerics"] == "portable"
    assert complete_config(raw_config(numerics="fast"))["numerics"] == "fast"


def test_the_commands_pin_before_a_rule_imports_torch(workdir):
    import yaml

    (workdir / "config.yaml").write_text(yaml.safe_dump(raw_config()))
    program = (
        "import sys; from gxpo.cli.process import read_config_and_pin;"
        "assert 'numpy' not in sys.modules and 'torch' not in sys.modules;"
        "read_config_and_pin('config.yaml', 'tiny');"
        "from gxpo.host import arithmetic; import torch;"
        "print(arithmetic.late(), torch.backends.cpu.get_cpu_capability())"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("ATEN_CPU_CAPABILITY", "MKL_CBWR")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=clean | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[] AVX2\n", done.stderr
