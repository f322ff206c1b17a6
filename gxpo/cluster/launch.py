"""One cell on several GPUs of a node: the same command again, through ``accelerate launch``."""

from __future__ import annotations

import os
import signal
import sys

from gxpo.host import shipped

CONFIGURATIONS = shipped("config/accelerate")


def launch_command(processes: int, parallel: str, arguments: list[str]) -> list[str]:
    """``gxpo ARGUMENTS`` in ``processes`` processes.

    parallel: a file of config/accelerate. The port is a free one: cells may share a node.
    """
    launcher = [sys.executable, "-m", "accelerate.commands.launch"]
    launcher += ["--config_file", str(CONFIGURATIONS / f"{parallel}.yaml")]
    launcher += ["--num_processes", str(processes), "--main_process_port", "0"]
    return [*launcher, "-m", "gxpo.cli", *arguments]


def is_launched() -> bool:
    """Whether this is one of the processes that a launcher (accelerate, torchrun) has started."""
    return "LOCAL_RANK" in os.environ


def launch_cell(processes: int, parallel: str, arguments: list[str]) -> None:
    """Become the launcher. It passes SIGTERM and Ctrl-C on; SIGUSR1, which schedulers send to all
    processes, would end it, so it ignores that one: training, in the processes, does not."""
    threads = int(os.environ.get("OMP_NUM_THREADS", processes))
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, threads // processes))}
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    command = launch_command(processes, parallel, arguments)
    os.execve(command[0], command, environment)
