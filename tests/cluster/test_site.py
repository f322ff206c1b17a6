"""The site file: what it may say, what is refused, where it is looked for, who uses it."""

import os
import re
import subprocess
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import yaml
from support.sites import BIG, site_file
from support.small import ROOT, run, small_config

from gxpo.cells import RUN, write_json
from gxpo.cluster import Site, request, use_site
from gxpo.cluster.site import read_site
from gxpo.config import cells, complete_config
from gxpo.host import UserError


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
        (("prepare", "config.yaml"), "gxpo.preparation.prepare.prepare"),
        (("train", "config.yaml", *CELL), "gxpo.training.cell.train"),
        (("evaluate", "config.yaml", *CELL), "gxpo.evaluation.cell.evaluate"),
        (("surrogate", "config.yaml"), "gxpo.studies.surrogate.surrogate"),
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
