"""One cell on several GPUs of a node: the same command again, through ``accelerate launch``."""

from __future__ import annotations

import os
import signal
import sys

from gxpo.host import environment, shipped

CONFIGURATIONS = shipped("config/accelerate")


def launch_command(processes: int, parallel: str, arguments: list[str]) -> list[str]:
    """``gxpo ARGUMENTS`` in ``processes`` processes.

    parallel: a file of config/accelerate. The port is a free one: cells may share a node.
    """
    launcher = [sys.executable, "-m", "accelerate.commands.launch"]
    launcher += ["--config_file", str(CONFIGURATIONS / f"{parallel}.yaml")]
    launcher += ["--num_processes", str(processes), "--main_process_port", "0"]
    return [*launcher, "-m", "gxpo.cli", *arguments]


def launch_cell(processes: int, parallel: str, arguments: list[str]) -> None:
    """Become the launcher. It passes SIGTERM and Ctrl-C on; SIGUSR1, which schedulers send to all
    processes, would end it, so it ignores that one: training, in the processes, does not."""
    threads = environment.read("OMP_NUM_THREADS").partition(",")[0]  # a list: of nested regions
    changes = {
        "OMP_NUM_THREADS": str(max(1, int(threads) // processes) if threads.isdigit() else 1),
        environment.RANKS: str(processes),  # what tells them from what a shell holds
    }
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    command = launch_command(processes, parallel, arguments)
    os.execve(command[0], command, environment.child(changes))
