"""What ``gxpo doctor`` says of GPUs, memory, disk and folders."""

import errno
from types import SimpleNamespace

import pytest
import torch
from support.findings import levels

from gxpo.cluster import Site
from gxpo.config import complete_config
from gxpo.doctor import OK, PROBLEM, WARNING, machine

GPU = machine.Gpu("H100", 80.0, "550.54")


def test_gpus_as_the_driver_reports_them(commands):
    commands(
        nvidia_smi="echo 'NVIDIA H100, 81559, 550.54.15'; echo 'NVIDIA H100, 81559, 550.54.15'"
    )
    gpu = machine.Gpu("NVIDIA H100", pytest.approx(85.52, abs=0.01), "550.54.15")
    assert machine.gpus() == [gpu, gpu]
    commands(nvidia_smi="echo 'NVIDIA-SMI has failed'; exit 9")
    assert machine.gpus() == []


@pytest.mark.parametrize(
    ("found", "needed", "elsewhere", "build", "usable", "level", "says"),
    [
        ([], 0, False, None, 0, OK, "no cell asks for one"),
        ([], 1, True, None, 0, OK, "jobs run on other machines"),
        ([], 1, False, None, 0, PROBLEM, "a cell needs 1"),
        ([GPU], 1, False, "12.8", 1, OK, "1 x H100, driver 550.54"),
        ([GPU], 1, False, None, 0, PROBLEM, "install a CUDA build"),
        ([GPU], 0, False, None, 0, WARNING, "install a CUDA build"),
        ([GPU], 1, False, "13.9", 0, PROBLEM, "update the driver"),
        ([GPU, GPU], 2, False, "12.8", 1, PROBLEM, "torch sees 1 (CUDA_VISIBLE_DEVICES?)"),
        ([GPU], 2, True, "12.8", 1, OK, "1 x H100"),
    ],
)
def test_cuda(monkeypatch, found, needed, elsewhere, build, usable, level, says):
    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: usable)
    finding = machine.cuda(found, needed, elsewhere)
    assert finding.level == level
    assert says in finding.text


def test_least_memory_of_a_gpu():
    """Float32: weights 4, gradient 4, Adam 8 bytes of what is trained; weights of what is not."""
    shape = {"layers": 2, "hidden": 1000, "key_value": 1000, "intermediate": 1000}
    lora = {"r": 25, "targets": ["q_proj", "o_proj"]}  # 2 x 25 x 2 x (1000 + 1000) parameters
    assert machine.least_gigabytes({"parameters": 7.0}) == 112.0
    assert machine.least_gigabytes({"parameters": 7.0, "resources": {"gpu": 4}}) == 28.0
    ddp = {"gpu": 4, "parallel": "ddp"}
    assert machine.least_gigabytes({"parameters": 7.0, "resources": ddp}) == 112.0
    adapted = machine.least_gigabytes({"parameters": 7.0, "lora": lora, "shape": shape})
    assert adapted == pytest.approx(28.0 + 16 * 200_000 / 1e9, abs=1e-9)
    assert machine.least_gigabytes({"path": "somewhere"}) is None


def test_memory(raw):
    raw["models"]["tiny"] |= {"parameters": 7.0, "resources": {"gpu": 1, "mem_gb": 1}}
    config = complete_config(raw)
    first, *_ = machine.memory(config, [GPU])
    assert (first.level, first.subject) == (PROBLEM, "GPU memory")
    assert "tiny needs 112 GB and more of each GPU, they have 80" in first.text
    config["models"]["tiny"]["parameters"] = 4.0
    assert levels(machine.memory(config, [GPU])) == [OK]
    config["models"]["tiny"]["resources"]["mem_gb"] = 1e6
    assert levels(machine.memory(config, [GPU])) == [WARNING, OK]


def test_disk(raw, monkeypatch):
    raw["models"]["tiny"]["parameters"] = 1.0  # three checkpoints of 4 GB, two states of 8 GB
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=27e9))
    finding = machine.disk(complete_config(raw))
    assert finding.level == PROBLEM
    assert "27.0 GB free, checkpoints need 28.0 GB" in finding.text
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=29e9))
    assert machine.disk(complete_config(raw)).level == OK
    del raw["models"]["tiny"]["parameters"]
    finding = machine.disk(complete_config(raw))
    assert finding.level == WARNING
    assert "tiny, whose size is not known" in finding.text


def test_folders(workdir, monkeypatch):
    assert levels(machine.writable_folders(Site(scratch=workdir))) == [OK, OK]
    assert list(workdir.iterdir()) == []
    assert levels(machine.writable_folders(Site(scratch=workdir / "missing"))) == [OK, PROBLEM]

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(machine.fcntl, "flock", refuse)
    assert levels(machine.writable_folders(Site())) == [WARNING, OK]
