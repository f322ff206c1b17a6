"""``numerics: portable``: the same bits on every x86-64 processor with AVX2.

Libraries choose their kernels by the processor they find, and kernels round differently; hundreds
of steps make another policy of the last bit. ``pin`` has them all take those that every such
processor has. It must come before torch and numpy are imported, which read the variables then or at
their first sum. ``begin`` does the rest, and says what stands in the way. More:
docs/reference/numerics.md.
"""

from __future__ import annotations

import platform
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gxpo.host import environment
from gxpo.host.redaction import redact
from gxpo.host.shipped import shipped
from gxpo.host.variables import PINNED, TABLE, THREADS

PORTABLE, FAST = "portable", "fast"
NEEDED = ("avx2", "fma")  # processor flags
_LATE: list[str] = []  # libraries that were there before pin
_BEGUN: list[str] = []  # what this process computes under


def pin(numerics: str, threads: int = 1, gpus: bool = False) -> None:
    """Set what libraries read when they are imported, under ``portable``; says on standard error
    which of a user's variables that replaces.

    threads: of the process: sums are taken in as many parts. gpus: cells run on some.
    """
    if numerics != PORTABLE:
        return
    wanted = {r.names: r.value for r in TABLE if r.treatment == PINNED and (gpus or not r.on_gpus)}
    changed = {k: environment.read(k) for k, v in wanted.items() if environment.read(k) != v}
    _LATE[:] = [name for name in ("torch", "numpy") if changed and name in sys.modules]
    replaced = [f"{name}={value}" for name, value in changed.items() if value]
    for name, value in (wanted | dict.fromkeys(THREADS, str(threads))).items():
        environment.put(name, value)
    if replaced:
        reason = "numerics: portable decides the kernels (numerics: fast leaves them to you)"
        print(redact(f"not used: {', '.join(replaced)}: {reason}"), file=sys.stderr)


def begin(numerics: str, threads: int = 1) -> None:
    """The rest of ``portable``, in a process that is about to compute; with a line on standard
    error for each limit of it here."""
    _BEGUN[:] = [numerics]
    if numerics != PORTABLE:
        return
    import torch

    from gxpo.host.square_root import install  # imports numpy

    torch.set_num_threads(threads)
    install()
    if torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        # one line an operator that has no such form, and once: TRL's steps would repeat it
        warnings.filterwarnings("once", message=".*does not have a deterministic implementation")
    for line in [*late(), *limits()]:
        print(f"numerics: portable, but {line}", file=sys.stderr)


def record(of_cell: Sequence[str] = ()) -> dict[str, Any]:
    """What ``run.json`` says of it. asked: whether this process computes under ``portable`` (not in
    a trainer of the user's own); limits: why its numbers may yet be others elsewhere.

    of_cell: limits of the cell itself.
    """
    asked = _BEGUN == [PORTABLE]
    return {"asked": asked, "limits": [*late(), *limits(), *of_cell] if asked else []}


def late() -> list[str]:
    """What was imported before ``pin``, in words."""
    return [f"{name} was imported before its kernels were chosen" for name in _LATE]


def limits() -> list[str]:
    """Why the numbers of this machine and installation may be others than those of others, though
    ``portable`` is asked for; empty where they are the same."""
    return list(_limits())


def _limits() -> Iterator[str]:
    if platform.machine().lower() not in ("x86_64", "amd64"):
        yield f"this processor is of another kind than x86-64 ({platform.machine()})"
    elif lacking := [flag for flag in NEEDED if flag not in _flags()]:
        yield f"this processor has no {' and no '.join(f.upper() for f in lacking)}"
    yield from _of_torch()


def _of_torch() -> Iterator[str]:
    import torch

    tested = tested_torch()
    here = version("torch").partition("+")[0]
    if here != tested:
        yield f"torch is {here}, published numbers are of {tested} (envs/constraints.txt)"
    if not torch.backends.mkl.is_available():
        yield "this torch was built without MKL, whose matrix products it would need"
    if torch.cuda.is_available():
        yield (
            "on a GPU that means deterministic algorithms: the same bits again on GPUs of this "
            f"type ({torch.cuda.get_device_name(0)}), not on others"
        )


def tested_torch() -> str:
    """The version of torch in envs/constraints.txt."""
    for line in shipped("envs/constraints.txt").read_text(encoding="utf-8").splitlines():
        name, _, pinned = line.partition("==")
        if name.strip() == "torch":
            return pinned.strip()
    return "unknown"


def _flags() -> set[str]:
    """Of the processor, as Linux lists them; where nothing does (macOS), all that are needed: what
    is unknown is not said to be missing."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    return set(NEEDED)
