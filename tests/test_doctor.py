"""Every check of ``gxpo doctor``, on a set-up that is broken in one place and on a healthy one."""

import errno
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from conftest import run, small_config

from gxpo.config import complete_config
from gxpo.doctor import OK, PROBLEM, WARNING, inputs, machine, services, software
from gxpo.site import Site
from gxpo.tracking.live import HTTP

GPU = machine.Gpu("H100", 80.0, "550.54")


@pytest.fixture
def raw(tiny_policy, workdir):
    return small_config(tiny_policy)


def levels(findings):
    return [finding.level for finding in findings]


# -- software --------------------------------------------------------------------------------


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


# -- machine ---------------------------------------------------------------------------------


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


# -- inputs ----------------------------------------------------------------------------------


def test_problems(raw):
    assert inputs.problems(complete_config(raw)).level == OK
    raw["evaluate"]["benchmarks"]["math500"] = {}
    finding = inputs.problems(complete_config(raw))
    assert finding.level == PROBLEM
    assert "not prepared: math500: gxpo prepare" in finding.text
    Path("data").mkdir()
    Path("data/math500.jsonl").write_text('{"id": "1", "problem": "1 + 1", "answer": "2"}\n')
    assert inputs.problems(complete_config(raw)).level == OK


def test_models(raw, workdir):
    raw["models"]["made"] = {"architecture": "qwen2"}
    assert levels(inputs.models(complete_config(raw))) == [OK, OK]
    (workdir / "empty").mkdir()
    raw["models"] = {"empty": {"path": "empty"}, "wrong": {"path": "no/such/folder"}}
    for finding in inputs.models(complete_config(raw)):
        assert finding.level == PROBLEM
        assert "is no folder with safetensors" in finding.text


def test_hub_models(raw, workdir):
    cache, commit = workdir / "hub", "0123456789abcdef"
    raw["models"] = {"smollm2-135m-instruct": {}}

    def look():
        (finding,) = inputs.models(complete_config(raw), cache)
        return finding.level, finding.text

    level, text = look()
    assert level == PROBLEM
    assert "is not fetched" in text
    record = inputs.model_record("HuggingFaceTB/SmolLM2-135M-Instruct")
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"commit": commit}))
    level, text = look()
    assert level == PROBLEM
    assert f"at 0123456789ab is not in {cache}: set HF_HOME" in text
    folder = cache / "models--HuggingFaceTB--SmolLM2-135M-Instruct" / "snapshots" / commit
    folder.mkdir(parents=True)
    assert look()[0] == PROBLEM
    blob = cache / "blob"  # a cache holds links, and a copy of it perhaps nothing else
    (folder / "model.safetensors").symlink_to(blob)
    assert look()[0] == PROBLEM
    blob.touch()
    assert look()[0] == PROBLEM
    blob.write_bytes(b"weights")
    assert look()[0] == OK


# -- the command -----------------------------------------------------------------------------


@pytest.fixture
def healthy(raw, monkeypatch, commands):
    """Nothing is wrong: a config file, an answering cluster that takes any job, no MLflow."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(services, "find_spec", lambda _: "there")
    for name in HTTP:
        monkeypatch.setenv(name, "")  # what the command sets is undone after the test
    commands(sinfo="echo 'gpu*|infinite'", sbatch="exit 0", nvidia_smi="exit 9")
    raw["models"]["tiny"]["parameters"] = 0.0001
    Path("config.yaml").write_text(yaml.safe_dump(raw))
    Path("site.yaml").write_text("partition: gpu\n")
    monkeypatch.setenv("GXPO_SITE", str(Path("site.yaml").resolve()))
    return Path("config.yaml")


def test_a_healthy_machine(healthy, monkeypatch, capsys):
    assert run(monkeypatch, "doctor", healthy) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.startswith(PROBLEM)]
    subjects = {line.split()[1] for line in lines[:-1]}
    assert subjects >= {"python", "packages", "GPUs", "results", "scratch", "disk", "problems"}
    assert subjects >= {"model", "Slurm", "job", "MLflow"}
    assert run(monkeypatch, "doctor") == 0  # without a configuration


def test_in_a_job_its_own_machine_is_judged(healthy, monkeypatch, capsys, commands):
    raw = yaml.safe_load(healthy.read_text())
    raw["models"]["tiny"]["resources"] = {"gpu": 1, "mem_gb": 1_000_000}
    healthy.write_text(yaml.safe_dump(raw))
    assert run(monkeypatch, "doctor", healthy) == 0  # on a login node: jobs run elsewhere
    assert "none here, jobs run on other machines" in capsys.readouterr().out
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert run(monkeypatch, "doctor", healthy) == 1
    out = capsys.readouterr().out
    assert "none found (nvidia-smi), a cell needs 1" in out
    assert "warning  memory       tiny is said to need 1e+06 GB" in out


def test_a_problem_is_an_exit_code(healthy, monkeypatch, capsys):
    Path("site.yaml").write_text("partition: gpux\n")
    assert run(monkeypatch, "doctor", healthy) == 1
    out = capsys.readouterr().out
    assert "problem  partition    'gpux' is unknown, known are gpu: mend slurm/site.yaml\n" in out
    assert "1 problem" in out.splitlines()[-1]
    Path("site.yaml").write_text("partitions: gpu\n")
    assert run(monkeypatch, "doctor", healthy) == 2
    assert "partitions: unknown key" in capsys.readouterr().err
