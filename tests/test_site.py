"""What jobs ask a cluster for: unit tests of the requests, and a dry run of the Slurm profile."""

import os
import re
import subprocess
import sys
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT, run, small_config
from hypothesis import given
from hypothesis import strategies as st

from gxpo.config import cells, complete_config
from gxpo.errors import UserError
from gxpo.runs import RUN, write_json
from gxpo.site import GROUPED, Site, read_site, request, use_site

BIG = {"path": "big", "resources": {"gpu": 4, "mem_gb": 96, "hours": 48}, "threads": 3}
TINY = {"architecture": "qwen2"}


def site_file(folder, text):
    (folder / "site.yaml").write_text(text)
    return folder / "site.yaml"


def test_a_models_resources_reach_the_request():
    train = request(Site(), BIG, "train")
    assert (train["gpu"], train["mem_mb"], train["runtime"]) == (4, 96_000, 48 * 60)
    assert train["cpus_per_task"] == 12  # 3 threads for each of 4 processes
    evaluate = request(Site(), BIG, "evaluate")
    assert (evaluate["gpu"], evaluate["cpus_per_task"]) == (1, 3)  # one process
    assert request(Site(), TINY, "train")["runtime"] == 30
    assert request(Site(), {"path": "x"}, "train")["runtime"] == 120


@given(st.integers(1, 6))
def test_memory_and_time_grow_with_the_attempt_up_to_the_sites_limits(attempt):
    asked = request(Site(), BIG, "train", attempt)
    assert asked["runtime"] == 48 * 60 * attempt
    assert asked["mem_mb"] == 96_000 + 48_000 * (attempt - 1)
    capped = request(Site(max_hours=24, max_mem_gb=100), BIG, "train", attempt)
    assert capped["runtime"] == 24 * 60
    assert capped["mem_mb"] == (96_000 if attempt == 1 else 100_000)


def test_a_walltime_in_which_training_would_stop_at_once_is_refused():
    """It stops checkpoint_minutes before the end: of an attempt, a step would be left."""
    short = Site(max_hours=0.5, checkpoint_minutes=30)
    with pytest.raises(UserError, match=r"max_hours\) .* checkpoint_minutes = 30 of the site"):
        request(short, BIG, "train")
    assert request(short, BIG, "evaluate")["runtime"] == 30  # which writes part after part
    assert request(Site(max_hours=0.5, checkpoint_minutes=29), BIG, "train")["runtime"] == 30


def test_warm_starts_that_share_a_job_fit_into_its_time_together():
    profile = yaml.safe_load((ROOT / "slurm" / "config.yaml").read_text())
    assert profile["group-components"] == [f"warmstarts={GROUPED}"]
    for attempt in (1, 9):
        asked = request(Site(max_hours=2), TINY, "warmstart", attempt)
        assert asked["runtime"] * GROUPED <= 120
    assert request(Site(max_hours=2), TINY, "train", 9)["runtime"] == 120  # never grouped


def test_the_sites_settings_reach_the_request():
    site = Site(partition="gpu", cpu_partition="cpu", account="me", gpu_type="a100")
    on_gpu, on_cpu = request(site, BIG, "train"), request(site, TINY, "train")
    assert (on_gpu["slurm_partition"], on_gpu["gpu_model"]) == ("gpu", "a100")
    assert (on_cpu["slurm_partition"], on_cpu["gpu_model"]) == ("cpu", "")  # no GPU, no type of it
    assert on_gpu["slurm_account"] == on_cpu["slurm_account"] == "me"
    assert request(Site(partition="all"), TINY, "train")["slurm_partition"] == "all"
    chosen = request(Site(constraint="nvlink&ib", qos="low"), TINY, "train")
    assert (chosen["constraint"], chosen["qos"]) == ("nvlink&ib", "low")
    assert not {"constraint", "qos"} & on_gpu.keys()  # an empty one would reach sbatch
    assert request(Site(walltime_scale=0.5), BIG, "train")["runtime"] == 24 * 60
    assert Site(setup=["module load cuda", "x=1"]).setup_commands == (
        "set +u\nmodule load cuda\nx=1\nset -u\n"
    )


def test_the_file_of_the_repository_is_valid_as_shipped_and_with_every_example(tmp_path):
    text = (ROOT / "slurm" / "site.yaml").read_text()
    shipped = read_site(ROOT / "slurm" / "site.yaml")
    assert shipped == Site()
    uncommented = re.sub(r"^# (\w+:|  - )", r"\1", text, flags=re.M)
    filled = read_site(site_file(tmp_path, uncommented))
    assert all(getattr(filled, name) != getattr(Site(), name) for name in ("partition", "scratch"))
    assert set(yaml.safe_load(uncommented)) == set(Site.model_fields)
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm.validation")
    resources = SimpleNamespace(**request(filled, BIG, "train"))
    plugin.validate_slurm_extra(SimpleNamespace(resources=resources))  # raises where it refuses


def test_what_the_plugin_refuses_is_refused_at_once(tmp_path):
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm.validation")
    for pattern in plugin.get_forbidden_slurm_options():
        for form in pattern.split("|"):
            option = re.match(r"--?[A-Za-z-]+", form).group(0)
            for extra in (f"{option} x", f"--nice=5 {option} x", f"{option}=x"):
                if re.search(pattern, extra):
                    with pytest.raises(UserError, match=f"extra: .*{option} is not allowed here"):
                        read_site(site_file(tmp_path, f"extra: {extra}"))


@pytest.mark.parametrize(
    "extra",
    ["--nice=5 --mail-type=FAIL", "--gpus-per-node=2", "--mem-bind=local", "--exclude=a-n1"],
)
def test_other_options_are_left_to_the_user(tmp_path, extra):
    assert read_site(site_file(tmp_path, f"extra: {extra}")).extra == extra


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partiton: gpu", "partiton: unknown key, allowed are partition,"),
        ("max_hours: -1", "max_hours: Input should be greater than 0"),
        ("partition: 'a; rm -rf ~'", "partition: String should match"),
        ("extra: --comment=$(id)", "extra: String should match"),
        ("extra: --constraint=nvlink", "--constraint is not allowed here: use the key constraint"),
        ("extra: --nice=5 -qlow", "-q is not allowed here: use the key qos"),
        ("extra: --signal=USR1@120", "--signal is not allowed here: Snakemake in the job would"),
        ("extra: --nice=5 --array=0-3", "--array is not allowed here: a job is one task"),
        ("constraint: a b", "constraint: String should match"),
        ("- a", "top level: "),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_site_file_is_one_line(tmp_path, text, said):
    with pytest.raises(UserError) as error:
        read_site(site_file(tmp_path, text))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "lines", [["export x=1  # of the site"], ["export x=1;"], ["if true; then\n  export x=1\nfi\n"]]
)
def test_setup_lines_are_whole_lines(lines):
    command = Site(setup=[*lines, "y=$unset"]).setup_commands + "echo $x; echo $unset"
    done = subprocess.run(["bash", "-euc", command], capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert "unset: unbound variable" in done.stderr  # not of y=: module systems read such
    assert done.returncode != 0


def test_a_missing_site_file_sets_nothing(tmp_path):
    assert read_site(tmp_path / "none.yaml") == Site()


def test_a_site_file_that_is_named_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv("GXPO_SITE", str(tmp_path / "none.yaml"))
    with pytest.raises(UserError, match=r"GXPO_SITE is .*none.yaml"):
        use_site()
    monkeypatch.setenv("GXPO_SITE", "slurm/site.yaml")  # of the repository, wherever this runs
    monkeypatch.chdir(tmp_path)
    assert use_site() == Site()
    monkeypatch.setenv("GXPO_SITE", str(site_file(tmp_path, "qos: low")))
    assert use_site() == Site(qos="low")
    monkeypatch.delenv("GXPO_SITE")
    assert use_site() == Site()


CELL = ("--model", "tiny", "--label", "grpo", "--seed", "0")


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        (("prepare", "config.yaml"), "gxpo.prepare.prepare"),
        (("train", "config.yaml", *CELL), "gxpo.train.train"),
        (("evaluate", "config.yaml", *CELL), "gxpo.evaluate.evaluate"),
        (("surrogate", "config.yaml"), "gxpo.surrogate.surrogate"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_every_command_uses_the_hubs_cache_on_the_sites_scratch(
    workdir, monkeypatch, command, stage
):
    raw = small_config(workdir)
    (workdir / "config.yaml").write_text(yaml.safe_dump(raw))
    (cell,) = cells(complete_config(raw))
    cell.folder.mkdir(parents=True)
    write_json(cell.folder / RUN, {"cell": asdict(cell)})
    monkeypatch.setenv("GXPO_SITE", str(site_file(workdir, "scratch: /scratch/me")))
    seen = []
    monkeypatch.setattr(stage, lambda *_: [seen.append(os.environ["HF_HOME"])][:0])
    monkeypatch.setenv("HF_HOME", "/mine")
    assert run(monkeypatch, *command) == 0
    monkeypatch.delenv("HF_HOME")
    assert run(monkeypatch, *command) == 0
    assert seen == ["/mine", "/scratch/me/huggingface"]


def test_the_profile_asks_for_what_the_models_say(tmp_path):
    """snakemake --profile slurm, dry: no Slurm is needed for it."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    (tmp_path / "policy").mkdir()
    entry = {"path": str(tmp_path / "policy"), "resources": BIG["resources"], "threads": 3}
    config = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    config |= {"seeds": [0], "models": {"big": entry, "tiny": TINY}}
    (tmp_path / "train.jsonl").write_text('{"id": "1", "problem": "1 + 1", "answer": "2"}\n')
    config["train"] |= {"problems": str(tmp_path / "train.jsonl"), "micro_batch_size": 16}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    site = site_file(tmp_path, "{partition: main, max_hours: 30}")
    command = [sys.executable, "-m", "snakemake", "-n", "--profile", "slurm"]
    command += ["all", "surrogate"]
    command += ["--configfile", str(tmp_path / "config.yaml"), "--directory", str(tmp_path)]
    environment = os.environ | {"GXPO_SITE": str(site)}
    dry = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert dry.returncode == 0, dry.stderr
    jobs = [" ".join(block.split()) for block in (dry.stdout + dry.stderr).split("rule ")]
    big = [job for job in jobs if job.startswith("train:") and "model=big" in job]
    assert len(big) == 3
    asked = ("gpu=4", "cpus_per_task=12", "mem_mb=96000", "runtime=1800", "slurm_partition=main")
    assert [text for text in asked if not all(text in job for job in big)] == []
    (surrogate,) = [job for job in jobs if job.startswith("surrogate:")]  # of the first model
    assert f"input: {tmp_path}/policy, {tmp_path}/train.jsonl" in surrogate
    assert "gpu=1" in surrogate
    assert "runtime=1800" in surrogate
    assert "slurm_partition=main" in surrogate


def test_a_job_asks_for_the_sites_features_and_reads_what_was_submitted(tmp_path, monkeypatch):
    """With a stand-in for sbatch, which notes what it was given and refuses."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    (tmp_path / "sbatch").write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$(dirname "$0")/asked"; exit 1\n'
    )
    for name in ("squeue", "scancel", "sacct", "scontrol"):
        (tmp_path / name).write_text("#!/bin/sh\n")
    for name in ("sbatch", "squeue", "scancel", "sacct", "scontrol"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    site = site_file(tmp_path, "{partition: main, constraint: a&b, qos: low}")
    monkeypatch.setenv("GXPO_SITE", str(site))
    raw = small_config(tmp_path, models={"tiny": TINY})
    resolved = tmp_path / "results" / "test" / "config.yaml"
    resolved.parent.mkdir(parents=True)
    resolved.write_text(yaml.safe_dump(complete_config(raw)))  # as onstart does, a hook
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw))

    snakemake = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--no-hooks"]
    snakemake += ["--retries", "0", "--until", "warmstart", "--directory", str(tmp_path)]
    snakemake += ["--configfile", str(tmp_path / "config.yaml")]
    done = subprocess.run(snakemake, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode != 0
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[asked.index("-C") + 1] == "a&b"
    assert "--qos=low" in asked

    # The user goes on editing, and the job starts.
    (tmp_path / "config.yaml").write_text("name: [half save")
    (job,) = [text.removeprefix("--wrap=") for text in asked if text.startswith("--wrap=")]
    job = re.sub(r"--wait-for-files '.*?'", "", job)  # of the Snakemake that has ended
    started = subprocess.run(
        ["bash", "-c", f"{job} --dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert started.returncode == 0, started.stderr
    assert "rule warmstart:" in started.stdout + started.stderr


def test_an_account_that_is_not_the_users_ends_the_run_before_its_first_job(
    tmp_path, monkeypatch, commands
):
    """The plugin would refuse it job by job, unseen, and Snakemake wait for ever."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    commands(sbatch=f"touch {tmp_path}/submitted", squeue="", sacct="", scontrol="")
    commands(sacctmgr="printf 'physics\\n'")
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(small_config(tmp_path, models={"tiny": TINY}))
    )
    monkeypatch.setenv("GXPO_SITE", str(site_file(tmp_path, "{partition: main, account: math}")))
    snakemake = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--until", "warmstart"]
    snakemake += ["--directory", str(tmp_path), "--configfile", str(tmp_path / "config.yaml")]
    done = subprocess.run(snakemake, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode != 0
    said = "account of the site: The given account math appears to be invalid."
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "submitted").exists()
