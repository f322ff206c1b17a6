"""The example of a reward that runs what a model wrote: whatever that does, it comes back."""

import os
import shutil

import pytest
from support.small import ROOT

from gxpo.catalog import load_reward

EXAMPLE = ROOT / "docs" / "guide" / "unit_test_reward.py"
TESTS = "assert double(2) == 4"
RIGHT = "def double(x):\n    return 2 * x"


@pytest.fixture
def example(monkeypatch):
    """Its module; with an interpreter that everybody can read, where tests run as root."""
    names = load_reward(str(EXAMPLE)).__globals__
    monkeypatch.setitem(names, "CPU_SECONDS", 1)
    if os.geteuid() == 0:
        system = shutil.which("python3", path="/usr/bin:/usr/local/bin")
        if system is None:
            pytest.skip("no system Python for a user other than root")
        monkeypatch.setitem(names, "INTERPRETER", system)
    return names


@pytest.mark.parametrize(
    ("completion", "paid"),
    [
        (f"So:\n```python\n{RIGHT}\n```\nDone.", 1.0),
        (f"```\nfirst try\n```\n```\n{RIGHT}\n```", 1.0),
        (RIGHT, 1.0),
        ("def double(x):\n    return x", 0.0),
        ("def double(", 0.0),
        ("", 0.0),
        ("import sys; sys.exit(0)", 0.0),
        ("import os; os._exit(0)", 0.0),
        (f"print('x' * 1000)\n{RIGHT}", 1.0),
    ],
)
def test_a_program_is_paid_for_its_tests(example, completion, paid):
    assert example["reward"]([completion], [TESTS]) == [paid]


HOSTILE = {
    "endless loop": "while True: pass",
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "stubborn fork bomb": "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
    "process": "import subprocess\nsubprocess.run(['true'], check=True)",
    "memory at once": "a = 'x' * 10**10",
    "memory by and by": "a = []\nwhile True: a.append('x' * 10**7)",
    "output": "while True: print('x' * 10000)",
    "a large file": "open('big', 'w').write('x' * 10**7)",
    "its own group": "import os\nos.setsid()",
    "signals ignored": "import signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True: pass",
    "more time": "import resource as r\nr.setrlimit(r.RLIMIT_CPU, (99, 99))",
    "root again": "import os\nos.setuid(0)" if os.geteuid() == 0 else "raise SystemExit",
}


@pytest.mark.parametrize("program", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_program_gets_nothing_and_comes_back(example, program):
    assert example["reward"]([f"{program}\n{RIGHT}", RIGHT], [TESTS, TESTS]) == [0.0, 1.0]


def test_one_that_waits_is_ended_by_the_wall_clock(example, monkeypatch):
    monkeypatch.setitem(example, "WALL_SECONDS", 1)
    assert example["passes"]("import time\ntime.sleep(1000)", "") is False


def test_its_folder_is_gone_afterwards(example, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tmp_path.chmod(0o755)
    example["passes"]("open('left', 'w').write('x')", "")
    assert list(tmp_path.iterdir()) == []


def test_limits_that_cannot_be_set_are_an_error_and_no_reward(example, monkeypatch):
    monkeypatch.setitem(example, "INTERPRETER", shutil.which("false"))
    with pytest.raises(RuntimeError, match="the limits could not be set"):
        example["passes"](RIGHT, TESTS)
