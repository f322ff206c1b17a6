"""The fault drill on a real Slurm: rounds of a matrix with faults in it, each of which must end in
what the undisturbed matrix came to; and 40 cells that finish at once into MLflow."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import yaml
from drills.slurm_faults import Faults
from drills.slurm_matrix import Matrix, mlflow_rows
from drills.slurm_victims import Fault, NoVictimError, name_of
from support.fabricate import comparison_config, fabricate
from support.killing import outcome
from support.small import ROOT

from gxpo.config import cells, complete_config

NAN = """
from gxpo.method import Method


class NotANumber(Method):
    def __init__(self):
        self.step = 0

    def update(self, batch):
        batch.backward()
        self.step += 1
        if self.step == 4:
            batch.parameters[0].grad.fill_(float("nan"))
        batch.step()
        return {}
"""


KINDS = ("any-order", "walltime", "disk", "mlflow")
DAMAGES = ("a flipped bit in the weights", "a truncated optimizer state", "no manifest")


def drill(matrix, expected, seed, kinds):
    """The rounds of the ``kinds`` (of KINDS); every fault, with whether its round was identical."""
    rng = random.Random(seed)
    todo = shuffled(rng) if "any-order" in kinds else []
    made = []
    while todo:
        made += one_round(lambda faults: disturb(faults, todo), matrix, expected, rng)
    for kind, inject in (("walltime", walltimes), ("disk", full_disks)):
        if kind in kinds:
            made += one_round(inject, matrix, expected, rng)
    if "mlflow" in kinds:
        made.append(forty_cells(matrix.folder / "forty"))
    return made


def one_round(inject, matrix, expected, rng):
    """The faults of one matrix from its beginning to its end."""
    matrix.clear()
    faults = Faults(matrix, rng)
    try:
        inject(faults)
    finally:
        faults.matrix.close()  # an inject may have put another in the place of the first
    identical = matrix.outcome() == expected
    print(f"the matrix ended identical: {identical}", flush=True)
    for fault in faults.made:
        fault.identical = identical
    return faults.made


def shuffled(rng):
    """The faults that can come in any order: functions of a Faults."""
    todo = [Faults.scancel] * 3 + [Faults.requeue] * 3 + [Faults.sigkill] * 2
    todo += [lambda faults: faults.restart_daemon("slurmd")] * 2
    todo += [lambda faults: faults.restart_daemon("slurmctld")] * 2
    todo += [Faults.node_crash, Faults.second_process, Faults.second_snakemake]
    todo += [Faults.ctrl_c] * 2 + [Faults.kill_snakemake] * 3
    todo += [lambda faults, how=how: faults.corrupt(how) for how in DAMAGES]
    rng.shuffle(todo)
    return todo


def disturb(faults, todo):
    """As many of the faults as the matrix gives room for; they are taken from the list."""
    matrix = faults.matrix
    matrix.start()
    for inject in list(todo):
        with contextlib.suppress(NoVictimError):  # too late for this one: another may still fit
            inject(faults)
            todo.remove(inject)
    assert matrix.wait() == 0, matrix.log.read_text()[-6000:]
    faults.check_logs()


def walltimes(faults):
    """With two minutes for every job: the checkpoint is due 6 s before its end."""
    matrix = Matrix(faults.matrix.folder, faults.cluster, faults.matrix.raw, max_hours=2 / 60)
    faults.matrix = matrix
    matrix.start()
    faults.walltime(graceful=False)
    faults.walltime(graceful=True)
    assert matrix.wait() == 0, matrix.log.read_text()[-6000:]
    Matrix(matrix.folder, matrix.cluster, matrix.raw)  # the usual limits again


def full_disks(faults):
    """Two cells on file systems that are too small, and one whose numbers stop being finite: their
    reasons are listed, the others finish; with room, and without that one, all is as expected."""
    whole = faults.matrix
    nan = whole.folder / "nan.py"
    nan.write_text(NAN)
    raw = whole.raw | {"methods": whole.raw["methods"] | {"nan": {"method": str(nan)}}}
    matrix = faults.matrix = Matrix(whole.folder, faults.cluster, raw)
    small = whole.cells[:2]
    with contextlib.ExitStack() as mounts:
        for cell in small:
            mounts.enter_context(small_disk(matrix.path(cell)))
        matrix.start("--retries", "1")
        assert matrix.wait() != 0
        listed = matrix.results / "tables-unfinished" / "unfinished.csv"
        table = pd.read_csv(listed, keep_default_na=False)  # a label is "nan"
        reasons = {(row.label, row.seed): row.reason for row in table.itertuples()}
        for cell in small:
            reason = reasons.pop((cell.label, cell.seed))
            assert "the disk is full" in reason, reason
            assert "the disk is full" in (matrix.path(cell) / "log.txt").read_text()
            faults.note("disk full while training", f"{name_of(cell)}: {reason}")
        assert {label for label, _ in reasons} == {"nan"}, reasons
        for (label, seed), reason in reasons.items():
            assert "nan" in reason, reason
            faults.note("NaN", f"{label} seed {seed}: {reason}")
        for cell in small:
            enlarge(matrix.path(cell))
        Matrix(whole.folder, faults.cluster, whole.raw)
        whole.start()
        assert whole.wait() == 0, whole.log.read_text()[-6000:]
        for cell in small:  # off the small disks, to be compared
            copy = matrix.path(cell).with_suffix(".copy")
            shutil.copytree(matrix.path(cell), copy)
    for cell in small:
        shutil.rmtree(matrix.path(cell))
        matrix.path(cell).with_suffix(".copy").rename(matrix.path(cell))


@contextlib.contextmanager
def small_disk(folder, megabytes=2):
    """Room for a checkpoint, not for two."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def enlarge(folder):
    subprocess.run(["mount", "-o", "remount,size=200m", folder], check=True)


def forty_cells(folder):
    """40 cells appear at once while four imports run; MLflow ends with each value once."""
    raw = comparison_config(labels={"base": {"method": "grpo"}}, seeds=range(40))
    folder.mkdir()
    with contextlib.chdir(folder):
        (folder / "config.yaml").write_text(yaml.safe_dump(raw))
        config = complete_config(raw)
        fabricate(config, lambda cell, benchmark, step: 0.2)
        source = folder / "runs"
        (folder / "results" / "test" / "runs").rename(source)

        def finish(cell):
            target = folder / cell.folder
            shutil.copytree(
                source / target.relative_to(folder / "results" / "test" / "runs"), target
            )

        import_all = [sys.executable, "-m", "gxpo.cli", "mlflow", "config.yaml", "--database"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with ThreadPoolExecutor(40) as pool:
            imports = [
                subprocess.Popen([*import_all, "results/mlflow.db"], env=environment)
                for _ in range(4)
            ]
            list(pool.map(finish, cells(config)))
        codes = [process.wait(600) for process in imports]
        for database in ("results/mlflow.db", "once.db"):
            subprocess.run([*import_all, database], env=environment, check=True)
        rows, once = mlflow_rows("results/mlflow.db", "test"), mlflow_rows("once.db", "test")
        identical = codes == [0] * 4 and len(once) == 40 and rows == once
    fault = Fault("40 cells finish at once into MLflow", f"{len(rows)} runs", identical)
    print(f"  {fault.kind}: {fault.moment}, identical: {identical}", flush=True)
    return fault


def report(faults):
    """A Markdown table with a row a kind, and a line with the sum."""
    kinds = Counter(fault.kind for fault in faults)
    lines = ["| fault | injected | in a matrix that ended identical |", "|---|---|---|"]
    for kind, count in kinds.items():
        same = sum(bool(fault.identical) for fault in faults if fault.kind == kind)
        lines.append(f"| {kind} | {count} | {same} |")
    different = sum(not fault.identical for fault in faults)
    lines.append(f"\n{len(faults)} faults; {different} of them in a matrix that ended different")
    return "\n".join(lines)


def quick(matrix):
    """Two faults in the training of a small matrix; and whether its cells are what they come to
    when trained here, without Slurm."""
    faults = Faults(matrix, random.Random(0))
    matrix.start("--until", "train")
    faults.scancel()
    faults.requeue()
    assert matrix.wait() == 0, matrix.log.read_text()[-6000:]
    alone = matrix.folder / "alone"
    models = Path("results", matrix.raw["name"], "models")
    shutil.copytree(matrix.folder / models, alone / models)
    shutil.copy(matrix.folder / "config.yaml", alone)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    trainings = []
    for cell in matrix.cells:
        command = [sys.executable, "-m", "gxpo.cli", "train", "config.yaml", "--model", cell.model]
        command += ["--label", cell.label, "--seed", str(cell.seed)]
        trainings.append(subprocess.Popen(command, cwd=alone, env=environment))
    assert [training.wait(600) for training in trainings] == [0] * len(trainings)
    same = [outcome(alone, cell) == outcome(matrix.folder, cell) for cell in matrix.cells]
    return faults.made, all(same)
