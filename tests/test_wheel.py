"""The wheel, from empty directories: the library on its own requirements alone, the command with
all of them. Nothing of the clone is on the path."""

import os
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from safetensors.torch import load_file
from support.small import ROOT, small_config

from gxpo.host.extras import EXTRA_OF

DROP_IN = ROOT / "docs" / "guide" / "drop_in.py"
LIBRARY = ("torch", "transformers", "trl", "accelerate", "peft")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, ROOT], check=True)
    (built,) = folder.glob("gxpo-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel's content as pip installs it, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run([*command, wheel], check=True)
    return folder


@pytest.fixture(scope="module")
def alone(installed, tmp_path_factory) -> Path:
    """The Python of an environment with what ``pip install`` of the wheel brings: LIBRARY and what
    that requires, as links."""
    python, packages = environment(tmp_path_factory.mktemp("alone"))
    for name in _closure(LIBRARY):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if not (packages / top).exists():
                (packages / top).symlink_to(found.locate_file(top))
    for entry in installed.iterdir():
        (packages / entry.name).symlink_to(entry)
    return python


@pytest.fixture(scope="module")
def whole(installed, tmp_path_factory) -> Path:
    """The Python of an environment with the wheel and all that is installed here."""
    python, packages = environment(tmp_path_factory.mktemp("whole"))
    (packages / "here.pth").write_text(f"{installed}\n{sysconfig.get_path('purelib')}\n")
    return python


def environment(folder: Path) -> tuple[Path, Path]:
    """A new, empty one: its Python and where its packages go."""
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    return folder / "bin" / "python", packages


def _closure(names) -> set[str]:
    seen, todo = set(), list(names)
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in seen:
            continue
        try:
            required = distribution(name).requires or ()
        except PackageNotFoundError:  # of another platform
            continue
        seen.add(name)
        for line in map(Requirement, required):
            if line.marker is None or line.marker.evaluate({"extra": ""}):
                todo.append(line.name)
    return seen


def run(python: Path, *arguments) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [python, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def gxpo(python: Path, *arguments, code: int = 0) -> str:
    done = run(python, "-m", "gxpo.cli", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def policy(tiny_policy, tmp_path_factory) -> Path:
    """A Llama, whose own tokenizer transformers takes at its word."""
    from gxpo.policy.warmstart import warmstart

    folder = tmp_path_factory.mktemp("llama")
    warmstart("llama", folder, steps=2)
    return folder


def test_the_library_needs_its_own_requirements_alone(alone, policy, workdir):
    trained = {}
    for rule in ("stock", "grpo", "gxpo"):
        Path(rule).mkdir()
        os.chdir(rule)
        done = run(alone, DROP_IN, policy, rule)
        assert done.returncode == 0, done.stderr
        trained[rule] = load_file("trained/model.safetensors")
        os.chdir("..")
    stock, grpo, other = (trained[rule] for rule in ("stock", "grpo", "gxpo"))
    assert all((stock[name] == grpo[name]).all() for name in stock)
    assert any((stock[name] != other[name]).any() for name in stock)


def test_what_is_missing_is_named_with_its_command(alone, workdir):
    absent = "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, sys.argv[1:])))"
    brought = {"pandas", "pyarrow", "pydantic"}  # by trl and others
    modules = [m for m, extra in EXTRA_OF.items() if extra == "suite" and m not in brought]
    assert run(alone, "-c", absent, *modules).returncode == 0
    said = gxpo(alone, "check", "demo", code=2)
    assert said == "error: jsonschema is not installed: pip install 'gxpo[suite]'\n"


def test_the_command_of_the_library_alone(alone, workdir):
    assert "check-method" in gxpo(alone, "--help")
    assert "wrote mine.py" in gxpo(alone, "new-method", "mine")
    assert "checks passed" in gxpo(alone, "check-method", "mine.py", "--quick")
    assert "checks passed" in gxpo(alone, "check-method", "gxpo", "--quick")


def test_the_suite_from_the_wheel(whole, installed, tiny_policy, workdir):
    where = run(whole, "-c", "import gxpo; print(gxpo.__file__)").stdout
    assert where.startswith(str(installed))
    assert "results/demo/runs/tiny-llama/gxpo-k5/seed2" in gxpo(whole, "check", "demo")
    assert "cells" in gxpo(whole, "plan", "paper")
    config = small_config(tiny_policy, methods={"gxpo": {"method": "gxpo"}})
    config["train"]["steps"] = config["evaluate"]["every"] = 2
    Path("my.yaml").write_text(yaml.safe_dump(config))
    cell = ["--model", "tiny", "--label", "gxpo", "--seed", "0"]
    gxpo(whole, "train", "my.yaml", *cell)
    gxpo(whole, "evaluate", "my.yaml", *cell)
    assert Path("results/test/runs/tiny/gxpo/seed0/scores.csv").exists()
    assert "published" in gxpo(whole, "claims", "my.yaml")
    gxpo(whole, "report", "my.yaml")
    assert "rule train" not in gxpo(whole, "run", "my.yaml", "-n", "-q")


def test_the_metadata(installed):
    (info,) = installed.glob("gxpo-*.dist-info")
    metadata = (info / "METADATA").read_text()
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    core = {Requirement(r.split(":", 1)[1]).name for r in required if "extra ==" not in r}
    assert core == set(LIBRARY)
    assert (installed / "gxpo" / "py.typed").exists()
