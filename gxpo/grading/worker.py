"""Process of ``gxpo.grading.limits``: answers a JSON line (gold, given, limits) with a bool.

Each comparison runs in a forked child of its own, because nothing short of the kernel stops
Python's big integers: a timer kills the child after its processor seconds, the address space is
bounded, and what sympy caches goes away with the child.
"""

import json
import os
import resource
import select
import signal
import sys
from collections.abc import Callable

MEMORY_BYTES = 2 * 2**30

# Parsers and simplifiers are slow the first time: children inherit what these have warmed up.
WARM_UP = [
    (r"\frac{2x}{3}+\sqrt{y}", r"\sqrt{y}+\frac{2}{3}x"),
    (r"y=2\sin(x)-e^{-t}", r"y=-e^{-t}+2\sin x"),
    (r"(-\infty,2)\cup[3,4]", r"[3,4]\cup(-\infty,2)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    (r"x\ge 2+3i", r"2^{n-1}\cdot 5\pi"),
]


def main() -> None:
    # Whoever signals a job signals all its processes; the parent still finishes its step, and ends
    # this one by closing its input.
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    from gxpo.grading.equality import equal
    from gxpo.grading.symbolic import symbolically_equal

    for gold, given in WARM_UP:
        symbolically_equal(gold, given)

    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        gold, given, cpu_seconds, wall_seconds = json.loads(line)

        def compare(gold: str = gold, given: str = given) -> bool:
            return equal(gold, given, symbolically_equal)

        print(json.dumps(_limited(compare, cpu_seconds, wall_seconds)), flush=True)


def _limited(compare: Callable[[], bool], cpu_seconds: float, wall_seconds: float) -> bool:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        verdict = b"0"
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds) + 2,) * 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # SIGPROF's default is to kill
            verdict = b"1" if compare() else b"0"
        finally:  # whatever hostile text does to a parser, its answer is not correct
            os.write(writing, verdict)
            os._exit(0)
    os.close(writing)
    try:
        readable, _, _ = select.select([reading], [], [], wall_seconds)
        return bool(readable) and os.read(reading, 1) == b"1"
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
