"""The policies that the suite ships: made again bit for bit, copied whole, told from others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.small import ROOT, run

from gxpo.host import UserError
from gxpo.policy import made, policy_hashes
from gxpo.policy.made import SHIPPED, WEIGHTS, Made


def config_of(**model):
    raw = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    return raw | {"models": {"tiny": model}}


@pytest.mark.parametrize("architecture", WEIGHTS)
def test_warmstart_makes_the_shipped_weights_again_bit_for_bit(architecture, workdir):
    """In a process of its own, as a user would: half a minute."""
    Path("config.yaml").write_text(yaml.safe_dump(config_of(architecture=architecture)))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ATEN_", "MKL_", "ONEDNN_"))}
    command = [sys.executable, "-m", "gxpo.cli", "warmstart", "config.yaml", "--model", "tiny"]
    done = subprocess.run(
        [*command, "--anew"],
        env=clean | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    from gxpo.host.arithmetic import limits

    if limits():
        pytest.skip(f"other bits are to be expected here: {'; '.join(limits())}")
    again = policy_hashes("results/demo/models/tiny")
    assert again == policy_hashes(str(SHIPPED / architecture))
    assert again["weights"] == WEIGHTS[architecture]


def test_the_command_copies_what_is_shipped(workdir, monkeypatch):
    Path("config.yaml").write_text(yaml.safe_dump(config_of(architecture="llama")))
    assert run(monkeypatch, "warmstart", "config.yaml", "--model", "tiny") == 0
    assert policy_hashes("results/demo/models/tiny") == policy_hashes(str(SHIPPED / "llama"))


@pytest.mark.parametrize("changed", [{"warmstart_steps": 2}, {"warmstart_seed": 1}])
def test_others_are_trained_and_are_others(workdir, monkeypatch, changed):
    model = {"architecture": "qwen2", "warmstart_steps": 2} | changed
    found = []
    for name, seed in (("a", model.get("warmstart_seed", 0)), ("b", 5)):
        Path("config.yaml").write_text(
            yaml.safe_dump(config_of(**model | {"warmstart_seed": seed}) | {"name": name})
        )
        assert run(monkeypatch, "warmstart", "config.yaml", "--model", "tiny") == 0
        found.append(policy_hashes(f"results/{name}/models/tiny")["weights"])
    assert len({*found, *WEIGHTS.values()}) == 4


def test_a_damaged_installation_is_named(tmp_path, monkeypatch):
    shutil.copytree(SHIPPED, tmp_path / "policies")
    monkeypatch.setattr(made, "SHIPPED", tmp_path / "policies")
    weights = tmp_path / "policies" / "qwen2" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="is not the policy that the suite ships"):
        Made("qwen2").copy(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_seed_without_a_warm_start_is_refused(workdir, monkeypatch, capsys):
    Path("config.yaml").write_text(
        yaml.safe_dump(config_of(path=str(SHIPPED / "qwen2"), warmstart_seed=3))
    )
    assert run(monkeypatch, "check", "config.yaml") == 2
    assert "models.tiny.warmstart_seed has no effect" in capsys.readouterr().err
