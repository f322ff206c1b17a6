"""The example of a reward that runs what a model wrote: whatever that does, it comes back."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.small import ROOT

from gxpo.catalog import load_reward
from gxpo.host import UserError
from gxpo.training.rewards import own_reward

EXAMPLE = ROOT / "docs" / "guide" / "unit_test_reward.py"
TESTS = "assert double(2) == 4\nassert double([0]) == [0, 0]"
RIGHT = "def double(x):\n    return 2 * x"


@pytest.fixture
def example(monkeypatch):
    """Its module; with an interpreter that everybody can read, where tests run as root."""
    names = load_reward(str(EXAMPLE)).__globals__
    monkeypatch.setitem(names, "CPU_SECONDS", 1)
    monkeypatch.setitem(names, "WALL_SECONDS", 300)  # processor seconds decide, but where said
    if os.geteuid() == 0:
        system = shutil.which("python3", path="/usr/bin:/usr/local/bin")
        if system is None:
            pytest.skip("no system Python for a user other than root")
        monkeypatch.setitem(names, "INTERPRETER", system)
    return names


@pytest.fixture
def started(example, monkeypatch):
    """The pids of the processes that programs ran in, each the number of its group."""
    pids = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            if settings.get("start_new_session"):
                pids.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return pids


@pytest.mark.parametrize(
    ("completion", "paid"),
    [
        (f"So:\n```python\n{RIGHT}\n```\nDone.", 1.0),
        (f"```\nfirst try\n```\n```\n{RIGHT}\n```", 1.0),
        (RIGHT, 1.0),
        (f"print('x' * 1000)\n{RIGHT}", 1.0),
        ("def double(x):\n    print(4)\n    return 2 * x", 1.0),
        ("def double(x):\n    return x", 0.0),
        ("def double(x):\n    return 4", 0.0),
        ("def double(", 0.0),
        ("", 0.0),
        ("\ud800", 0.0),
        (f"\0{RIGHT}", 0.0),
    ],
)
def test_a_program_is_paid_for_its_tests(example, completion, paid):
    assert example["reward"]([completion], [TESTS]) == [paid]


def test_every_completion_has_the_tests_of_its_own_problem(example):
    programs = [RIGHT, "def half(x):\n    return x / 2", RIGHT]
    tests = [TESTS, "assert half(3) == 1.5", "assert double(2) == 5"]
    assert example["reward"](programs, tests) == [1.0, 1.0, 0.0]


def test_it_is_a_reward_as_the_trainer_calls_them(example):
    called = own_reward(str(EXAMPLE))
    with pytest.raises(UserError, match=r"unit_test_reward\.py: .*not 'assert CALL == VALUE': f\("):
        called(completions=["x"], answer=["f(1)"], prompts=["p"])


@pytest.mark.parametrize(
    "tests", ["assert f(1)", "assert f(1) < 2", "assert f(1) == g(1)", "x = 1", "", "4", "f( =="]
)
def test_tests_that_cannot_be_asked_are_an_error_and_no_reward_of_0(example, tests):
    with pytest.raises((ValueError, SyntaxError)):
        example["reward"]([RIGHT], [tests])


GAMES = {
    "exits": "import sys\nsys.exit(0)",
    "exits at once": "import os\nos._exit(0)",
    "exits when called": "import os\ndef double(x):\n    os._exit(0)",
    "says that it is ready": "import os\nfor fd in range(9):\n  try: os.write(fd, b'ready')\n"
    "  except OSError: pass\nos._exit(0)",
    "answers all with true": "import os\nfor fd in range(1, 9):\n"
    "  try: os.write(fd, b'[true, true]')\n  except OSError: pass\nos._exit(0)",
    "is equal to everything": "class All:\n  def __eq__(self, other): return True\n"
    "def double(x): return All()",
    "looks for the values": "import __main__\n__main__.json.dumps = lambda given: "
    "str([v for n, v in vars(__main__).items() if n not in ('json', 'names')])\n"
    "def double(x): return x",
    "answers deep": "import __main__\n__main__.json.dumps = lambda given: '[' * 10**5\n"
    "def double(x): return x",
}
HOSTILE = {
    "endless loop": "while True: pass",
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "stubborn fork bomb": "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
    "process": "import subprocess\nsubprocess.run(['true'], check=True)",
    "sleeping grandchild": "import os, time\nif not os.fork(): os.setsid(); time.sleep(1000)",
    "memory at once": "a = 'x' * 10**10",
    "memory by and by": "a = []\nwhile True: a.append('x' * 10**7)",
    "output": "while True: print('x' * 10000)",
    "output past the end": "import os\nwhile True:\n  for fd in range(1, 9):\n"
    "    try: os.write(fd, b'x' * 10000)\n    except OSError: pass",
    "a large file": "open('big', 'w').write('x' * 10**7)",
    "its own group": "import os\nos.setsid()",
    "signals ignored": "import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True: pass",
    "more time": "import resource as r\nr.setrlimit(r.RLIMIT_CPU, (99, 99))",
    "root again": "import os\nos.setuid(0)" if os.geteuid() == 0 else "raise SystemExit",
}


@pytest.mark.parametrize("program", GAMES.values(), ids=GAMES)
def test_only_the_right_values_earn_the_reward(example, program):
    assert example["reward"]([program], [TESTS]) == [0.0]


@pytest.mark.parametrize("program", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_program_gets_nothing_and_leaves_nothing(example, started, program):
    assert example["reward"]([f"{program}\n{RIGHT}", RIGHT], [TESTS, TESTS]) == [0.0, 1.0]
    assert len(started) == 2
    for group in started:
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)


@pytest.fixture
def fifo(tmp_path_factory):
    """A pipe with a name that a program may open, and its end to read from here."""
    folder = Path(os.path.realpath(shutil.os.getcwd()))
    raise NotImplementedError(folder)


def test_one_that_waits_is_ended_by_the_wall_clock(example, started, monkeypatch):
    monkeypatch.setitem(example, "WALL_SECONDS", 1)
    assert example["reward"](["import time\ntime.sleep(1000)"], [TESTS]) == [0.0]
    with pytest.raises(ProcessLookupError):
        os.killpg(started[0], 0)


def test_limits_that_cannot_be_set_are_an_error_and_no_reward(example, monkeypatch):
    monkeypatch.setitem(example, "INTERPRETER", shutil.which("false"))
    with pytest.raises(RuntimeError, match="the limits could not be set"):
        example["reward"]([RIGHT], [TESTS])
