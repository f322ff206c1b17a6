"""No variable of the environment changes a cell, and in what it was trained is recorded."""

import json
import os
import socket
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch.distributed
import yaml
from support.killing import cell_of, outcome, raw_config
from support.small import ROOT

import gxpo.training.cell as training
from gxpo import MethodTrainer
from gxpo.cluster import meet
from gxpo.host import UserError
from gxpo.training.settings import grpo_config
from gxpo.training.unsupported import refuse_unsupported

OTHER_LAUNCH = {
    "WORLD_SIZE": "2",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29599",
}
LEFT_OVER = {
    "another launch": (
        OTHER_LAUNCH | {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "PMI_SIZE": "2"},
        ["OMPI_COMM_WORLD_SIZE=2, PMI_SIZE=2, WORLD_SIZE=2"],
    ),
    "other numbers": (
        {
            "ACCELERATE_MIXED_PRECISION": "bf16",
            "NVIDIA_TF32_OVERRIDE": "1",
            "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
            "ACCELERATE_USE_DEEPSPEED": "true",
            "ACCELERATE_USE_FSDP": "true",
            "ACCELERATE_DYNAMO_BACKEND": "INDUCTOR",
            "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
            "PARALLELISM_CONFIG_TP_SIZE": "2",
            # a notebook in a locale that is not UTF-8: of these not a word
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONIOENCODING": "ascii",
            "PYTHONHASHSEED": "7",
        },
        [
            "ACCELERATE_MIXED_PRECISION=bf16",
            "NVIDIA_TF32_OVERRIDE=1, ONEDNN_DEFAULT_FPMATH_MODE=BF16",
            "ACCELERATE_USE_DEEPSPEED=true, PARALLELISM_CONFIG_TP_SIZE=2",
            "ACCELERATE_USE_FSDP=true",
            "ACCELERATE_DYNAMO_BACKEND=INDUCTOR",
            "ACCELERATE_GRADIENT_ACCUMULATION_STEPS=4",
        ],
    ),
}


def train(folder, raw, variables):
    """``gxpo train`` of the only cell under these variables: rows, weights, record, words."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(raw))
    cell = cell_of(raw)
    command = [sys.executable, "-m", "gxpo.cli", "train", "config.yaml", "--model", cell.model]
    done = subprocess.run(
        [*command, "--label", cell.label, "--seed", str(cell.seed)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    run = json.loads((folder / cell.folder / "run.json").read_text())
    return *outcome(folder, cell), run, done.stderr


@pytest.fixture(scope="module")
def raw(tiny_policy):
    return raw_config(tiny_policy, "gxpo", steps=3)


@pytest.fixture(scope="module")
def plain(raw, tmp_path_factory):
    return train(tmp_path_factory.mktemp("plain") / "run", raw, {})


def test_the_record_says_in_what_a_cell_was_trained(plain):
    run = plain[2]
    assert run["processes"] == 1
    told = run["numerics"]
    assert told["parameter_dtypes"] == told["trained_dtypes"] == ["float32"]
    assert told["mixed_precision"] == "no"
    assert told["distributed_type"] == "NO"
    assert told["compiled_by"] == "NO"
    assert told["attention"] == "sdpa"
    assert told["float32_matmul_precision"] == "highest"
    assert told["tf32"]["matmul"] is False
    assert told["deterministic_algorithms"] is False
    assert run["environment"]["OMP_NUM_THREADS"] == "1"
    assert run["environment"]["HF_HUB_OFFLINE"] == "1"
    assert "not used" not in plain[3]


@pytest.mark.parametrize("name", LEFT_OVER)
def test_a_cell_is_the_same_bit_for_bit_whatever_a_shell_has_left(name, raw, plain, tmp_path):
    variables, expected = LEFT_OVER[name]
    rows, weights, run, said = train(tmp_path / "run", raw, variables)
    assert (rows, weights) == plain[:2]
    assert run["processes"] == 1
    assert run["numerics"] == plain[2]["numerics"]
    remarks = [line for line in said.splitlines() if line.startswith("not used: ")]
    assert len(remarks) == len(expected)
    for line in expected:
        assert any(remark.startswith(f"not used: {line}: ") for remark in remarks), remarks


def test_bfloat16_of_the_configuration_is_recorded(raw, workdir):
    changed = raw | {"models": {"tiny": raw["models"]["tiny"] | {"dtype": "bfloat16"}}}
    cell = cell_of(changed)
    training.train(cell)
    told = json.loads((cell.folder / "run.json").read_text())["numerics"]
    assert (told["mixed_precision"], told["trained_dtypes"]) == ("bf16", ["float32"])


def test_a_process_takes_one_gpu_however_many_are_visible(raw, workdir, monkeypatch):
    import transformers

    monkeypatch.setattr(transformers.TrainingArguments, "n_gpu", property(lambda self: self._n_gpu))
    build = transformers.TrainingArguments.__post_init__

    def on_four(self):
        build(self)
        self._n_gpu = 4

    monkeypatch.setattr(transformers.TrainingArguments, "__post_init__", on_four)
    arguments = grpo_config(cell_of(raw), workdir, [])
    assert arguments.n_gpu == 1
    assert arguments.train_batch_size == raw["train"]["micro_batch_size"]


@pytest.mark.parametrize(
    ("gpus", "precision", "said"),
    [(4, "no", "one process with 4 GPUs"), (0, "fp16", "fp16 is not"), (0, "fp8", "fp8 is not")],
)
def test_what_breaks_counting_in_a_trainer_is_refused(gpus, precision, said):
    trainer = SimpleNamespace(
        is_deepspeed_enabled=False,
        args=SimpleNamespace(fp16=False, n_gpu=gpus),
        accelerator=SimpleNamespace(mixed_precision=precision),
    )
    with pytest.raises(UserError, match=said):
        refuse_unsupported(trainer)


def test_a_trainer_names_the_variable_of_an_engine_before_the_engine_fails(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(UserError, match="ACCELERATE_USE_DEEPSPEED is set: that is not supported"):
        MethodTrainer(method=None)


# -- processes that wait for each other ----------------------------------------------------------


@pytest.fixture
def agent(monkeypatch):
    """The store of a launcher of two processes, of which this one is the first."""
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    launch = OTHER_LAUNCH | {"MASTER_PORT": str(store.port), "GXPO_RANKS": "2"}
    launch |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
    for name, value in launch.items():
        monkeypatch.setenv(name, value)
    return store


def test_processes_that_are_all_there_meet(agent, capsys):
    agent.set("gxpo/0/1", "here")
    meet()
    assert capsys.readouterr().err == ""
    assert agent.get("gxpo/0/0") == b"here"


def test_a_process_says_for_whom_it_waits_and_gives_up(agent, capsys):
    moment = timedelta(milliseconds=1)
    with pytest.raises(UserError, match=r"process 0 of 2 waits for 1 \(.*\): gave up after"):
        meet(moment, moment)
    assert capsys.readouterr().err.startswith("process 0 of 2 waits for 1 (launcher at 127.0.0.1")


def test_a_launcher_that_is_not_there_is_said_in_one_line(agent, monkeypatch):
    with socket.socket() as held:  # bound, and nobody listens
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(held.getsockname()[1]))
        with pytest.raises(UserError, match="does not reach its launcher at 127"):
            meet(reach=timedelta(milliseconds=1))


def test_marked_processes_without_a_launcher_are_refused(agent, monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE")
    with pytest.raises(UserError, match="process 0 of 2 has no launcher: GXPO_RANKS is for"):
        meet()


def test_who_is_alone_meets_nobody(monkeypatch):
    for name, value in OTHER_LAUNCH.items():
        monkeypatch.setenv(name, value)
    meet()
