"""``make elsewhere``: are the suite's numbers the same on other processors?

Runs ``elsewhere_run`` on this processor and under user-mode emulation of others (qemu-x86_64, of
Debian's and Ubuntu's package qemu-user), side by side, and compares hash by hash: a difference
names the operator, the step and the column where it begins. Some ten minutes: an emulated processor
is some forty times slower. Exit code 1 where something differs, 2 where there is no emulator.

    python -m drills.elsewhere [PROCESSOR ...]     # names of `qemu-x86_64 -cpu help`
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

RUN = Path(__file__).with_name("elsewhere_run.py")
EMULATED = ("Haswell", "EPYC-Rome")


def started(processor):
    """The run on one processor (None: this one), its output in a pipe."""
    emulator = [] if processor is None else ["qemu-x86_64", "-cpu", processor]
    # A hash seed and a hub that is not asked: nothing of the two runs but the processor differs.
    environment = os.environ | {"PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(RUN.parents[2]), str(RUN.parents[1])])
    command = [*emulator, sys.executable, str(RUN)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def main(processors):
    if shutil.which("qemu-x86_64") is None:
        print("qemu-x86_64 is not installed: apt-get install qemu-user", file=sys.stderr)
        return 2
    began = time.monotonic()
    running = {
        name: started(None if name == "native" else name) for name in ["native", *processors]
    }
    found = {}
    for name, process in running.items():
        output, _ = process.communicate()
        if process.returncode:
            print(f"{name}: the run failed with exit code {process.returncode}", file=sys.stderr)
            return 1
        found[name] = json.loads(output.splitlines()[-1])
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return compare(found)


def compare(found):
    """Prints the hash of every group, and each difference; the exit code."""
    reference, *others = found.values()
    total, different = 0, []
    print(f"{'group':<24}{'hashes':>7}  " + "  ".join(f"{name:<16}" for name in found))
    for group, names in reference.items():
        total += len(names)
        shown = [short(run[group]) for run in found.values()]
        print(f"{group:<24}{len(names):>7}  " + "  ".join(f"{hash_:<16}" for hash_ in shown))
        for processor, run in zip(list(found)[1:], others, strict=True):
            different += [
                f"{processor}: {group}: {name}" for name in names if run[group][name] != names[name]
            ]
    for line in different:
        print(f"differs: {line}")
    if not different:
        print(f"The same on {len(found)} processors: all {total} hashes that the suite rests on")
    return int(bool(different))


def short(names):
    """One hash over a group's."""

    return hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or EMULATED))
