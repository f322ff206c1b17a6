"""What jobs ask a cluster for: the resources of a model, within the limits of the site."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.sites import BIG, TINY
from support.small import ROOT

from gxpo.cluster import GROUPED, Site, request
from gxpo.host import UserError


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
