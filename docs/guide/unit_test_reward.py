"""A reward of one's own: 1 for a program that passes its problem's unit tests, else 0.

In a configuration: ``reward: unit_test_reward.py``. A problem's ``answer`` is its tests, lines of
``assert CALL == VALUE``. What a model writes runs in a process with limits, and nowhere else; that
process is asked for the values of the calls and is not told what they should be. Linux.
"""

import ast
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

INTERPRETER = sys.executable
CPU_SECONDS = 2  # decides, whatever else the machine does
WALL_SECONDS = 20  # ends what waits instead of computing
MEMORY_BYTES = 2**30
FILE_BYTES = 2**20  # of every file; what it answers is one
PROCESSES = 0  # and threads, that it may start
NOBODY = 65534  # root has no limit of processes: programs do not run as root
AT_ONCE = 4

# In the process: the limits, a look whether they hold, the program, the calls. The program's own
# output goes nowhere, for the answer to stand alone.
RUNNER = """
import os, resource as r, sys
cpu, memory, file, processes, nobody = map(int, sys.argv[1:])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(nobody); os.setuid(nobody)
    open(os.__file__).close()
for limit, value in ((r.RLIMIT_AS, memory), (r.RLIMIT_FSIZE, file), (r.RLIMIT_CORE, 0),
                     (r.RLIMIT_NPROC, processes), (r.RLIMIT_CPU, cpu)):
    r.setrlimit(limit, (value, value))
if not processes:
    try: os.fork()
    except OSError: pass
    else: os._exit(1)
import json
program, calls = json.load(sys.stdin)
answer = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.write(answer, b"ready")
names = {"__name__": "program"}
exec(program, names)
os.write(answer, json.dumps([eval(call, names) for call in calls]).encode())
"""


def reward(completions: list[str], answers: list[str]) -> list[float]:
    tests = [calls_and_values(text) for text in answers]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(passes, map(program_in, completions), tests))


def program_in(completion: str) -> str:
    """The last fenced block; without one, all of it."""
    blocks = re.findall(r"```(?:python)?\n(.*?)```", completion, re.DOTALL)
    return blocks[-1] if blocks else completion


def calls_and_values(tests: str) -> tuple[list[str], list[object]]:
    """The left and the right sides, values as JSON has them. Raises ValueError for a test of
    another form: one that could not be asked would be one that nobody passes."""
    calls, values = [], []
    for test in ast.parse(tests).body:
        match test:
            case ast.Assert(ast.Compare(left, [ast.Eq()], [right])):
                calls.append(ast.unparse(left))
                values.append(json.loads(json.dumps(ast.literal_eval(right))))
            case _:
                raise ValueError(f"not 'assert CALL == VALUE': {ast.unparse(test)}")
    if not calls:
        raise ValueError(f"no test: {tests!r}")
    return calls, values


def passes(program: str, tests: tuple[list[str], list[object]]) -> float:
    calls, values = tests
    try:
        given = json.loads(answer_of(program, calls))
    except (ValueError, RecursionError):  # ended early, or wrote something else
        return 0.0
    return float(given == values)


def answer_of(program: str, calls: list[str]) -> bytes:
    """What the process says of the calls. Raises RuntimeError where the limits cannot be set:
    nothing of the program has run then."""
    limits = map(str, (CPU_SECONDS, MEMORY_BYTES, FILE_BYTES, PROCESSES, NOBODY))
    folder = tempfile.mkdtemp()
    try:
        Path(folder).chmod(0o777 if os.geteuid() == 0 else 0o700)
        with tempfile.TemporaryFile() as said:
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
                asked = json.dumps([program, calls]).encode()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.communicate(asked, timeout=WALL_SECONDS)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with all that it has started
                process.wait()
            said.seek(0)
            answer = said.read(FILE_BYTES)
    finally:  # not shutil.rmtree: it fails on folders that are a thousand deep
        subprocess.run(["chmod", "-R", "u+rwx", folder], stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", folder], stderr=subprocess.DEVNULL)
    if not answer.startswith(b"ready"):
        raise RuntimeError(
            f"the limits could not be set: can everybody read {INTERPRETER} and "
            f"{Path(os.__file__).parent}? Or train as an ordinary user"
        )
    return answer.removeprefix(b"ready")
