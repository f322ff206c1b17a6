"""A real one-node Slurm for tests: in a temporary folder, on loopback ports of its own, with two
fake GPUs, without systemd, munge or a database. Needs root, and Slurm or Debian's apt-get."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from support.ports import free_port

PACKAGES = ("slurmctld", "slurmd", "slurm-client")
CLIENTS = ("srun", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr")

CONFIG = """
ClusterName=check
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={daemon_port}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=10
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MinJobAge=3600
KillWait=10
SlurmctldTimeout=10
SlurmdTimeout={node_timeout}
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=100000
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:2
PartitionName=gpu Nodes={host} Default=YES MaxTime=60 State=UP
"""


def missing_reason():
    """Why there can be no cluster on this machine, or None. Installs Slurm where it can."""
    if os.geteuid() != 0:
        return "not root"
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.mknod(Path(folder) / "gpu", 0o20600, os.makedev(195, 0))
    except OSError as error:  # of containers
        return f"a device file for a fake GPU cannot be made ({error})"
    if all(map(shutil.which, ("slurmctld", "slurmd", "sbatch"))):
        return None
    if not shutil.which("apt-get"):
        return "Slurm is not installed and there is no apt-get"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["timeout", "300", "apt-get", "-qq", *arguments],
            env=environment,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        return f"apt-get install {' '.join(PACKAGES)} failed: {done.stderr.strip()[-200:]}"
    return None


class Cluster:
    """Started on entry, stopped on exit with all that it started."""

    def __init__(self, folder, node_timeout=20):
        self.folder = Path(folder).resolve()
        self.host = socket.gethostname().split(".")[0]
        self.configuration = self.folder / "slurm.conf"
        self._node_timeout = node_timeout
        self._daemons = {}

    def __enter__(self):
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir(parents=True)
        ports = {"controller_port": free_port(), "daemon_port": free_port()}
        self.configuration.write_text(
            CONFIG.format(
                host=self.host, folder=self.folder, node_timeout=self._node_timeout, **ports
            )
        )
        for number in (0, 1):  # a GPU that is only counted leaves the node invalid
            os.mknod(self.folder / f"gpu{number}", 0o20600, os.makedev(195, number))
        (self.folder / "gres.conf").write_text(
            f"NodeName={self.host} Name=gpu File={self.folder}/gpu[0-1]\n"
        )
        # Snakemake's plugin drops SLURM_CONF inside a job: clients that set it come first on PATH.
        for client in filter(shutil.which, CLIENTS):
            shim = self.folder / "bin" / client
            shim.write_text(
                f'#!/bin/sh\nSLURM_CONF={self.configuration} exec {shutil.which(client)} "$@"\n'
            )
            shim.chmod(0o755)
        try:
            self.start_controller()
            self.start_daemon()
            self.wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if "slurmctld" in self._daemons:
            subprocess.run(
                ["timeout", "20", "scancel", "--user=root"], env=self.environment, check=False
            )
            self._wait(lambda: not self.client("squeue", "-h").strip(), 30)
        for name in ("slurmd", "slurmctld"):
            self.stop(name)
        self._end_what_is_left()

    @property
    def environment(self):
        """For processes that are to use this cluster."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"PATH": path, "SLURM_CONF": str(self.configuration)}

    def start_controller(self):
        self._start("slurmctld", ["slurmctld", "-D", "-i", "-f", self.configuration])

    def start_daemon(self):
        self._start("slurmd", ["slurmd", "-D", "-f", self.configuration, "-N", self.host])

    def _start(self, name, command):
        with (self.folder / f"{name}.out").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                list(map(str, command)), stdout=output, stderr=output, env=self.environment
            )

    def stop(self, name, kill=False):
        """End one of the two daemons; kill: with SIGKILL."""
        daemon = self._daemons.pop(name, None)
        if daemon is None:
            return
        daemon.kill() if kill else daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def client(self, *command):
        """The output of a Slurm command; empty where it failed or did not answer."""
        done = subprocess.run(
            ["timeout", "5", *map(str, command)],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return done.stdout if done.returncode == 0 else ""

    def wait_until_up(self, seconds=60):
        # A slurmd that was killed as a job ended leaves the node completing: it is up, and the
        # controller asks it again about the job, minutes later.
        states = ("idle", "mixed", "allocated", "completing")
        if not self._wait(
            lambda: self.client("sinfo", "-h", "-o", "%T").strip() in states, seconds
        ):
            logs = "".join(
                f"\n{name}:\n{(self.folder / name).read_text()[-1500:]}"
                for name in ("slurmctld.log", "slurmd.log", "slurmctld.out", "slurmd.out")
                if (self.folder / name).exists()
            )
            raise RuntimeError(f"the cluster does not come up: {logs}")

    @staticmethod
    def _wait(condition, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.2)
        return False

    def processes_of(self, number):
        """The processes of a job, Slurm's own among them."""
        keeper, mark = f"slurmstepd: [{number}.".encode(), f"SLURM_JOB_ID={number}".encode()
        return [
            pid
            for pid, command, environment in _processes()
            if command.startswith(keeper) or mark in environment
        ]

    def _end_what_is_left(self):
        """A job that was queued again as the daemons went may run on; our folder is on its PATH."""
        ours = str(self.folder / "bin").encode()
        for pid, _, environment in _processes():
            if any(ours in line for line in environment if line.startswith(b"PATH=")):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def jobs(self, states="all"):
        """A dict per job: id, state and its rule with wildcards."""
        found = []
        text = self.client("squeue", "-h", f"--states={states}", "--sort=i", "--format=%i|%T|%k")
        for line in text.splitlines():
            number, state, comment = line.split("|", 2)
            found.append({"id": number, "state": state, "comment": comment})
        return found

    def job(self, number):
        """What scontrol says of a job, key -> value."""
        words = self.client("scontrol", "show", "-d", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)


def _processes():
    """(pid, command, environment) of all processes that may be looked at."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes().split(b"\0")
            yield int(folder.name), command, environment
