"""``rollouts.jsonl.gz``: completions of every step, kept to be looked at (``gxpo show``).

A row a prompt: step, prompt, answer (the gold one) and completions, each with its text, its reward
(as it was paid, and by reward function), its length in tokens and whether it ended by itself. A
step's rows are a gzip member of their own, appended when the step has ended; a torn last one, of a
killed process, is left out.

The size is bounded: texts are cut in their middle, and of a long run not every step is kept. The
first and the last are always.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gxpo.host import shortened, write_atomically

LONGEST = 8_000  # bytes of a text, in JSON
MOST = 64  # completions of a prompt
LARGEST = 64_000_000  # bytes of a file, before compression
FACTS = 1_000  # bytes of a completion, at most, beside its text
CHUNK = 1 << 16


def is_kept(step: int, train: dict[str, Any]) -> bool:
    """Whether a step's completions are kept: every one, or as many as ``LARGEST`` has room for
    were all texts as long as they may be. Depends on the settings alone, so that a resumed run
    keeps what another would have."""
    prompts, steps = train["keep_completions"], train["steps"]
    if not prompts:
        return False
    a_prompt = 2 * LONGEST + min(MOST, train["num_generations"]) * (LONGEST + FACTS)
    room = LARGEST - 2 * prompts * a_prompt  # the first and the last
    every = math.ceil(steps * prompts * a_prompt / room)
    return step % every == 0 or step in (1, steps)


def rollout_row(
    step: int, prompt: str, answer: str | None, completions: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """A row, its texts cut to ``LONGEST``; completions: dictionaries of text, reward, rewards (by
    function), tokens, ended. At most ``MOST`` of them are kept."""
    return {
        "step": step,
        "prompt": _short(prompt),
        "answer": None if answer is None else _short(answer),
        "completions": [one | {"text": _short(one["text"])} for one in completions[:MOST]],
    }


def append_rollouts(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add a step's rows and wait until they are on the disk."""
    with path.open("ab") as file:
        file.write(gzip.compress(_lines(rows), mtime=0))
        file.flush()
        os.fsync(file.fileno())


def read_rollouts(path: Path) -> list[dict[str, Any]]:
    """The rows, in order, to the first member that is torn or damaged; none without a file."""
    if not path.exists():
        return []
    members = _whole_members(path.read_bytes())
    return [json.loads(line) for member in members for line in member.splitlines()]


def keep_rollouts_until(path: Path, step: int) -> None:
    """Drop the rows after ``step``, whose steps will be trained again, and what is torn."""
    if path.exists():
        rows = [row for row in read_rollouts(path) if row["step"] <= step]
        write_atomically(path, gzip.compress(_lines(rows), mtime=0))


def _lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _whole_members(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        member, content = zlib.decompressobj(wbits=31), b""  # 31: gzip, whose checksum is compared
        while at < len(data) and not member.eof:
            chunk = data[at : at + CHUNK]
            try:
                content += member.decompress(chunk)
            except zlib.error:
                return
            at += len(chunk) - len(member.unused_data)
        if not member.eof:
            return
        yield content


def _short(text: str) -> str:
    whole = text.encode("utf-8", "replace").decode()  # JSON allows lone surrogates, UTF-8 does not
    return shortened(whole, LONGEST, _bytes)


def _bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode())
