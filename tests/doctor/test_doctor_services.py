"""What ``gxpo doctor`` asks of others: Slurm and an MLflow server, answering well, ill and not."""

import http.server
import threading
from pathlib import Path

import pytest
import yaml
from support.findings import levels
from support.small import ROOT

from gxpo.cluster import Site
from gxpo.config import complete_config
from gxpo.doctor import OK, PROBLEM, WARNING, services
from gxpo.tracking.live import HTTP

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens


def test_no_slurm(raw, monkeypatch):
    monkeypatch.setattr(services.shutil, "which", lambda _: None)
    config = complete_config(raw)
    (finding,) = services.slurm(config, Site())
    assert finding.level == OK
    assert "--profile slurm is refused: snakemake --cores N" in finding.text
    assert levels(services.slurm(config, Site(partition="gpu"))) == [WARNING]


@pytest.fixture
def cluster(raw, monkeypatch, commands):
    """A configuration of one model on two GPUs, a site, and stand-ins of a Slurm that takes all."""
    monkeypatch.setattr(services, "find_spec", lambda _: "there")
    raw["train"]["micro_batch_size"] = raw["train"]["completions_per_step"] // 2
    raw["models"]["tiny"]["resources"] = {"gpu": 2, "mem_gb": 10, "hours": 3}
    commands(
        sinfo="echo 'gpu*|1-00:00:00'; echo 'cpu|infinite'; echo 'gpu*|1-00:00:00'",
        sbatch='echo "$@" >> arguments',
        scontrol="echo 'MinJobAge               = 300 sec'",
        sacctmgr="echo mine",
        squeue="",
        scancel="",
    )
    site = Site(partition="gpu", account="mine", gpu_type="a100", extra="--nice=5", qos="low")
    return complete_config(raw), site


def test_slurm_is_asked_for_what_the_jobs_will_ask_for(cluster):
    assert services.slurm_answers()
    assert levels(services.slurm(*cluster)) == [OK, OK]
    first, alone, last, _ = Path("arguments").read_text().splitlines()
    assert first == (
        "--test-only --cpus-per-task=2 --mem=10000M --time=180 --ntasks=1 --nice=5 "
        "--gpus=a100:2 --partition=gpu --account=mine --qos=low --wrap=true"
    )
    assert "--gpus=a100:1" in alone  # evaluation: one process
    assert "--mem=25000M --time=720" in last


def test_a_login_node_that_cannot_submit(cluster, monkeypatch):
    which = services.shutil.which
    monkeypatch.setattr(
        "gxpo.cluster.slurm.shutil.which", lambda name: None if name == "sbatch" else which(name)
    )
    finding = next(services.slurm(*cluster))
    assert finding.level == PROBLEM
    assert "there is no sbatch here" in finding.text


def test_a_job_that_is_too_long_waits_for_ever(cluster):
    """The last retry asks for four times the hours."""
    config, site = cluster
    config["models"]["tiny"]["resources"]["hours"] = 25
    assert levels(services.slurm(config, site)) == [OK, PROBLEM]
    config["models"]["tiny"]["resources"]["hours"] = 7
    for partition in ("gpu", None):  # which is the default
        _, finding = services.slurm(config, Site(partition=partition))
        assert finding.level == WARNING
        assert (
            "tiny, retry 3: train: it asks for 1680 minutes, the partition allows 1440"
            in finding.text
        )
    assert levels(services.slurm(config, Site(partition="gpu", max_hours=24))) == [OK, OK]
    assert levels(services.slurm(config, Site(partition="cpu,gpu"))) == [OK, OK]


def test_what_slurm_does_not_know_or_refuses(cluster, commands):
    config, site = cluster
    first, *rest = services.slurm(config, Site(partition="gpux"))
    assert (first.level, rest) == (PROBLEM, [])
    assert "'gpux' is unknown, known are cpu, gpu: mend slurm/site.yaml" in first.text

    commands(sacctmgr="echo yours")
    findings = list(services.slurm(config, site))
    assert levels(findings)[:2] == [PROBLEM, OK]
    assert "mine appears to be invalid. Available accounts: yours: mend" in findings[0].text

    commands(sacctmgr="echo mine", sbatch="echo 'sbatch: error: Invalid account' >&2; exit 1")
    findings = list(services.slurm(config, site))
    assert levels(findings) == [OK, PROBLEM]
    assert "Invalid account: mend" in findings[1].text


def test_a_slurm_that_forgets_its_jobs_too_early(cluster, commands):
    commands(scontrol="echo 'MinJobAge               = 120 sec'")
    findings = list(services.slurm(*cluster))
    assert levels(findings) == [WARNING, OK, OK]
    assert "MinJobAge is 120 s, Snakemake looks every 180 s at worst" in findings[0].text


def test_no_plugin_and_no_answer(cluster, monkeypatch, commands):
    config, site = cluster
    monkeypatch.setattr(services, "find_spec", lambda _: None)
    first, *_ = services.slurm(None, site)
    assert first.level == PROBLEM
    assert ".[slurm]" in first.text

    commands(sinfo="echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    assert not services.slurm_answers()
    (finding,) = services.slurm(config, site)
    assert finding.level == PROBLEM
    assert "Unable to contact slurm controller" in finding.text
    assert levels(services.slurm(config, Site())) == [WARNING]


def test_jobs_without_gpus_are_tried_on_their_partition(raw, monkeypatch, commands, workdir):
    monkeypatch.setattr(services, "find_spec", lambda _: "there")
    made = {"architecture": "qwen2", "resources": {"gpu": 1, "hours": 1}}
    raw["models"] = {"made": made, **{f"made{i}": made for i in range(9)}}
    config, site = complete_config(raw), Site(partition="gpu", cpu_partition="cpu")
    commands(
        sinfo="echo 'gpu*|infinite'; echo 'cpu|12:00:00'",
        sbatch='echo "$@" >> arguments',
        **dict.fromkeys(("scontrol", "sacctmgr", "squeue", "sacct", "scancel"), "true"),
    )
    _, finding, *others = services.slurm(config, site)
    assert {other.level for other in others} == {WARNING}
    first = Path("arguments").read_text().splitlines()[:3]
    assert ["--gpus=1" in line for line in first] == [True, True, False]
    assert "--time=480" in first[2]  # eight of them take turns
    assert "--partition=cpu" in first[2]
    assert finding.level == WARNING
    assert "made, retry 3: warmstart: it asks for 1920 minutes, the partition allows 720" in (
        finding.text
    )
    commands(sbatch='case "$*" in *partition=cpu*) echo "no such account" >&2; exit 1;; esac')
    _, finding, *_ = services.slurm(config, site)
    assert finding.level == PROBLEM
    assert "made: warmstart: sbatch" in finding.text
    assert "no such account" in finding.text

    commands(sbatch="exit 0")
    _, finding, *_ = services.slurm(config, Site(partition="gpu", checkpoint_minutes=60))
    assert finding.level == PROBLEM
    assert "longer than checkpoint_minutes = 60" in finding.text


def test_retries_are_those_of_the_profile():
    profile = yaml.safe_load((ROOT / "slurm" / "config.yaml").read_text())
    assert profile["retries"] == services.RETRIES


class Tracking(http.server.BaseHTTPRequestHandler):
    """As much of an MLflow server as a search for experiments needs."""

    def do_POST(self):
        allowed = self.headers["Authorization"] != "Bearer wrong-token"
        body = b"{}" if allowed else b'{"error_code": "UNAUTHENTICATED", "message": "who are you"}'
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_):
        pass


def test_mlflow(monkeypatch):
    for name, value in HTTP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert services.mlflow().level == OK
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert services.mlflow().level == WARNING
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE.replace("://", "://me:hunter2!@"))
    finding = services.mlflow()
    assert finding.level == PROBLEM
    assert "hunter2" not in finding.text
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        assert services.mlflow().level == OK
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "wrong-token")
        finding = services.mlflow()
        server.shutdown()
    assert finding.level == PROBLEM
    assert "who are you" in finding.text
    assert "wrong-token" not in finding.text
