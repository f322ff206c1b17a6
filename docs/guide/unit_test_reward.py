"""A reward of one's own: 1 for a program that passes its problem's tests, else 0.

In a configuration: ``reward: unit_test_reward.py``; a problem's ``answer`` is Python with asserts.
What a model writes is run in a process with limits, and nowhere else. Linux. Not limited: the
network, and what files its user may read or write. A program that looks for it finds how its tests
are run: read what your policy writes, as with every reward.
"""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

INTERPRETER = sys.executable
CPU_SECONDS = 2  # decides, whatever else the machine does
WALL_SECONDS = 20  # ends what waits instead of computing
MEMORY_BYTES = 2**30
FILE_BYTES = 2**20  # of what it prints, and of every file
NOBODY = 65534  # root has no limit of processes: programs are not run as root

# In the process: limits, then the program, then its tests. That they have passed is said by a word
# that is read after them: exit(0) in a program is no success.
RUNNER = """
import os, resource as r, sys
cpu, memory, file, nobody = map(int, sys.argv[1:])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(nobody); os.setuid(nobody)
    open(os.__file__).close()
for limit, value in ((r.RLIMIT_AS, memory), (r.RLIMIT_FSIZE, file), (r.RLIMIT_CORE, 0),
                     (r.RLIMIT_NPROC, 0), (r.RLIMIT_CPU, cpu)):
    r.setrlimit(limit, (value, value))
program, tests, word = os.fdopen(0, newline="").read().split("\\0")
os.write(1, b"ready\\n")
names = {"__name__": "program"}
exec(program, names)
exec(tests, names)
sys.stdout.flush()
os.write(1, word.encode())
"""


def reward(completions: list[str], answers: list[str]) -> list[float]:
    return [float(passes(program_in(c), a)) for c, a in zip(completions, answers, strict=True)]


def program_in(completion: str) -> str:
    """The last fenced block; without one, all of it."""
    blocks = re.findall(r"```(?:python)?\n(.*?)```", completion, re.DOTALL)
    return blocks[-1] if blocks else completion


def passes(program: str, tests: str) -> bool:
    """Whether the program runs and its tests pass, within the limits. Raises RuntimeError where the
    limits cannot be set: nothing of the program has been run then."""
    word = secrets.token_hex(16)
    limits = map(str, (CPU_SECONDS, MEMORY_BYTES, FILE_BYTES, NOBODY))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        Path(folder).chmod(0o777)
        process = subprocess.Popen(
            [INTERPRETER, "-I", "-c", RUNNER, *limits],
            cwd=folder,
            env={"HOME": folder, "TMPDIR": folder, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            text = "\0".join((program.replace("\0", ""), tests, word))
            process.communicate(text.encode(errors="replace"), timeout=WALL_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it has started, were there any
            process.wait()
        said.seek(0)
        printed = said.read(FILE_BYTES)
    if not printed.startswith(b"ready\n"):
        raise RuntimeError(
            f"the limits could not be set: can everybody read {INTERPRETER} and "
            f"{Path(os.__file__).parent}? Or train as an ordinary user"
        )
    return printed.endswith(word.encode())
