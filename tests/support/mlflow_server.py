"""A real MLflow server on 127.0.0.1, on a free port, that a test can kill and restart."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from support.ports import free_port

SECONDS = 300.0  # a bound, not an expectation


class Server:
    """``mlflow server`` over a sqlite database in ``folder``."""

    def __init__(self, folder):
        self._folder = folder
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process = None

    def start(self):
        store = f"sqlite:///{self._folder}/server.db"
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        command += ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers)

    def kill(self):
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)  # with the workers that it started
            self._process.wait()
            self._process = None

    def _answers(self):
        if self._process.poll() is not None:
            raise RuntimeError((self._folder / "server.log").read_text()[-2000:])
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def wait_for(condition):
    """Poll until ``condition()``; a bound that no machine should reach."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        time.sleep(0.05)
