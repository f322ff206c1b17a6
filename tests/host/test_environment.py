"""The environment at the door: what is dropped, set, kept, handed on and recorded."""

import io
import os
import re
import subprocess
import sys

import pytest
from support.small import ROOT

from gxpo.host import UserError, environment
from gxpo.host.variables import DEFAULT, DROPPED, DROPPED_ALONE, QUIET, SET, TABLE

LEFT_OVER = {
    "WORLD_SIZE": "2",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29599",
    "TORCHELASTIC_RUN_ID": "none",
}


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    """An environment of each test's own."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in list(os.environ):
        if any(row.holds(name) for row in TABLE):
            monkeypatch.delenv(name)
    return monkeypatch


def settled(capsys, **variables):
    """What the environment is and what was said, with these variables before."""
    os.environ.update(variables)
    environment.settle()
    return os.environ, capsys.readouterr().err


def names_of(*treatments):
    """(row, an example of each of its names)."""
    return [
        (row, name.replace("*", "ANYTHING"))
        for row in TABLE
        if row.treatment in treatments
        for name in row.names.split()
    ]


@pytest.mark.parametrize(
    ("row", "name"), names_of(DROPPED, DROPPED_ALONE), ids=lambda v: str(v)[:40]
)
def test_what_would_change_numbers_is_dropped_with_a_line_that_says_why(row, name, capsys):
    after, said = settled(capsys, **{name: "7"})
    assert name not in after
    if row.neutral == QUIET:
        assert said == ""
    else:
        assert said == f"not used: {name}=7: {row.reason.replace('`', '')}\n"


@pytest.mark.parametrize("value", ["", "no", "FALSE", "0"])
def test_what_would_have_changed_nothing_is_dropped_without_a_word(value, capsys):
    for name in ("ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_DEEPSPEED", "NVIDIA_TF32_OVERRIDE"):
        after, said = settled(capsys, **{name: value})
        assert name not in after
        assert said == ""


@pytest.mark.parametrize(("row", "name"), names_of(SET), ids=lambda v: str(v)[:40])
def test_what_is_ours_is_set_whatever_it_was(row, name, capsys):
    after, _ = settled(capsys, **{name: "module://nonsense"})
    assert after[name] == row.value


@pytest.mark.parametrize(("row", "name"), names_of(DEFAULT), ids=lambda v: str(v)[:40])
def test_what_users_may_choose_is_set_only_where_they_have_not(row, name, capsys):
    assert settled(capsys)[0][name] == row.value
    assert settled(capsys, **{name: "theirs"})[0][name] == "theirs"


def test_a_rank_of_another_launch_is_dropped_and_said_once(capsys):
    after, said = settled(capsys, **LEFT_OVER)
    assert not LEFT_OVER.keys() & after.keys()
    assert said.startswith("not used: WORLD_SIZE=2: of no launch by gxpo")
    assert said.count("\n") == 1
    assert (environment.launched(), environment.rank()) == (False, 0)


@pytest.mark.parametrize(
    "size", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "WORLD_SIZE"]
)
def test_accelerate_finds_no_world_in_what_a_scheduler_left(size, capsys):
    from accelerate.utils.environment import get_cpu_distributed_information

    os.environ[size] = "4"
    assert get_cpu_distributed_information().world_size == 4  # what it reads
    environment.settle()
    assert get_cpu_distributed_information().world_size == 1
    assert f"{size}=4" in capsys.readouterr().err


def test_ranks_that_gxpo_launched_keep_their_place_but_not_another_precision(capsys):
    launch = LEFT_OVER | {"RANK": "1", "FSDP_VERSION": "2", "GXPO_RANKS": "2"}
    after, said = settled(capsys, **launch, ACCELERATE_MIXED_PRECISION="bf16")
    assert launch.items() <= after.items()
    assert "not used: ACCELERATE_MIXED_PRECISION=bf16" in said
    assert (environment.launched(), environment.rank()) == (True, 1)


@pytest.mark.parametrize("mark", ["4", "1", "", "yes"])
def test_a_mark_that_does_not_fit_the_launch_is_none(mark, capsys):
    after, _ = settled(capsys, **LEFT_OVER, GXPO_RANKS=mark)
    assert "LOCAL_RANK" not in after
    assert environment.rank() == 0


def test_servers_of_this_machine_are_not_asked_through_a_proxy(capsys):
    after, _ = settled(capsys, NO_PROXY="intranet", HTTPS_PROXY="http://proxy:3128")
    assert after["no_proxy"] == after["NO_PROXY"] == "intranet,127.0.0.1,localhost,::1"
    environment.settle()
    assert after["no_proxy"].count("127.0.0.1") == 1


def test_without_a_proxy_there_is_nothing_to_go_around(capsys):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    assert "no_proxy" not in settled(capsys)[0]


def test_what_a_terminal_cannot_show_is_escaped(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    environment.settle()
    print("θ", end="", flush=True)
    assert narrow.buffer.getvalue() == b"\\u03b8"


def test_the_record_holds_what_was_chosen_and_no_secret(capsys):
    chosen = {"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "1", "HF_HOME": "/data/hub"}
    hidden = {"HF_TOKEN": "hf_abcdefgh", "MLFLOW_TRACKING_PASSWORD": "hunter22"}
    os.environ.update(hidden | {"LOGNAME": "me"})
    settled(capsys, **chosen, MLFLOW_TRACKING_URI="http://me:hunter22@host/x")
    record = environment.record()
    assert chosen.items() <= record.items()
    assert record["MPLBACKEND"] == "Agg"
    assert record["MLFLOW_TRACKING_URI"] == "http://[redacted]@host/x"
    assert not hidden.keys() & record.keys()
    assert "LOGNAME" not in record
    assert "hunter22" not in str(record)


def test_only_variables_of_the_table_are_read_set_or_handed_on():
    for use in (
        lambda: environment.read("LOGNAME"),
        lambda: environment.put("LOGNAME", "x"),
        lambda: environment.default("LOGNAME", "x"),
        lambda: environment.child({"LOGNAME": "x"}),
    ):
        with pytest.raises(KeyError, match="LOGNAME does not stand in"):
            use()


def test_the_rest_of_the_suite_goes_through_the_door():
    """os.environ elsewhere: secrets are looked for in all of it, and a rule under test must leave
    it as it met it; Snakemake's jobs find ``gxpo`` on the PATH."""
    allowed = {"gxpo/host/environment.py", "gxpo/host/redaction.py", "Snakefile"}
    allowed |= {f"gxpo/conformance/{name}.py" for name in ("ownership", "surroundings")}
    sources = [*ROOT.glob("gxpo/**/*.py"), *ROOT.glob("workflow/**/*.smk"), ROOT / "Snakefile"]
    found = {
        str(file.relative_to(ROOT))
        for file in sources
        if re.search(r"\bos\.environ|\bgetenv|\bputenv", file.read_text(encoding="utf-8"))
    }
    assert found == allowed


def test_the_command_settles_before_anything_has_read_the_environment():
    readers = [
        "torch",
        "transformers",
        "tqdm",
        "matplotlib",
        "mlflow",
        "huggingface_hub",
        "datasets",
    ]
    code = f"import sys, gxpo.cli; print([n for n in {readers} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("engine", ["DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG"])
def test_an_engine_that_owns_the_steps_is_refused_by_the_name_of_its_variable(engine):
    os.environ[f"ACCELERATE_USE_{engine}"] = "true"
    with pytest.raises(UserError, match=f"^ACCELERATE_USE_{engine} is set: .* not supported"):
        environment.refuse_engines()
    os.environ[f"ACCELERATE_USE_{engine}"] = "false"
    environment.refuse_engines()


def test_the_users_own_defaults_of_accelerate_do_not_reach_a_launch(tmp_path, monkeypatch):
    """accelerate launch reads ``default_config.yaml`` of HF_HOME where it is given no file."""
    from accelerate.commands import launch
    from accelerate.commands.config import config_args

    from gxpo.cluster.launch import launch_command

    theirs = tmp_path / "default_config.yaml"
    theirs.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nmixed_precision: bf16\n"
        "num_processes: 7\nnum_machines: 1\ndynamo_config: {dynamo_backend: INDUCTOR}\n"
    )
    monkeypatch.setattr(launch, "default_config_file", str(theirs))
    monkeypatch.setattr(config_args, "default_config_file", str(theirs))
    parser = launch.launch_command_parser()

    def understood(arguments):
        return launch._validate_launch_command(parser.parse_args(arguments))[0]

    assert understood(["--num_processes", "2", "x.py"]).mixed_precision == "bf16"  # it does
    ours = understood(launch_command(2, "ddp", ["train"])[3:])
    assert (ours.mixed_precision, ours.dynamo_backend, ours.num_processes) == ("no", "no", 2)
