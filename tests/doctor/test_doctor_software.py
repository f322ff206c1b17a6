"""What ``gxpo doctor`` says of Python and the packages."""

import pytest
import torch
from support.findings import levels

from gxpo.config import complete_config
from gxpo.doctor import OK, PROBLEM, WARNING, software


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 10, 9), PROBLEM), ((3, 11, 0), OK), ((3, 12, 4), OK), ((3, 13, 0), PROBLEM)],
)
def test_python(version, level):
    finding = software.python(version)
    assert finding.level == level
    assert ("from 3.11 on and before 3.13" in finding.text) == (level == PROBLEM)


def test_packages(tmp_path, monkeypatch):
    lock = tmp_path / "constraints.txt"
    lock.write_text(f"# tested\ntorch=={torch.__version__.split('+')[0]}\nnot-there==1.0\n")
    monkeypatch.setattr(software, "requires", lambda _: ["torch>=2", "none; extra == 'slurm'"])
    assert levels(software.packages(lock)) == [OK]

    lock.write_text("torch==0.4.1\n")
    (finding,) = software.packages(lock)
    assert finding.level == WARNING
    assert f"1 of 1 not as in constraints.txt: torch {torch.__version__}" in finding.text

    monkeypatch.setattr(software, "requires", lambda _: ["torch>=99", "no-such-package>=1"])
    first, second, _ = software.packages(lock)
    assert first.level == second.level == PROBLEM
    assert f"torch is {torch.__version__}, required is >=99" in first.text
    assert "no-such-package is not installed" in second.text

    (finding,) = software.packages(tmp_path / "nothing.txt")
    assert finding.level == WARNING


@pytest.mark.parametrize("where", ["train", "evaluate"])
def test_vllm_is_looked_for_where_it_is_asked_for(raw, monkeypatch, where):
    monkeypatch.setattr(software, "find_spec", lambda _: None)
    assert levels(software.optional_packages(complete_config(raw))) == []
    if where == "train":
        raw["train"]["rollouts"] = {"backend": "vllm"}
    else:
        raw["evaluate"]["backend"] = "vllm"
    assert levels(software.optional_packages(complete_config(raw))) == [PROBLEM]
    monkeypatch.setattr(software, "find_spec", lambda _: "there")
    assert levels(software.optional_packages(complete_config(raw))) == [OK]
