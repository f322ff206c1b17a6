"""samples.jsonl.gz: one gzip file to all, and members to leap over for who knows."""

import gzip
import json
import subprocess
from itertools import islice

import pytest

from gxpo.cells import sample_member, sample_members


def rows(step, benchmark="words", problems=40):
    return [
        {"step": step, "benchmark": benchmark, "problem": f"{i}", "completion": "a b " * i}
        for i in range(problems)
    ]


PARTS = [rows(step, name) for step in (0, 5, 10) for name in ("words", "hard")]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "samples.jsonl.gz"
    path.write_bytes(b"".join(map(sample_member, PARTS)))
    return path


@pytest.fixture
def plain():
    return "".join(json.dumps(row) + "\n" for part in PARTS for row in part).encode()


def firsts(path, count):
    return [[json.loads(line) for line in islice(lines, count)] for lines in sample_members(path)]


def test_any_program_reads_it_as_one_file(file, plain):
    assert gzip.decompress(file.read_bytes()) == plain
    assert subprocess.run(["gzip", "-dc", file], capture_output=True, check=True).stdout == plain


@pytest.mark.parametrize("count", [1, 3, 40, 100])
def test_the_first_rows_of_every_part_are_found(file, plain, count):
    expected = [part[:count] for part in PARTS]
    assert firsts(file, count) == expected
    file.write_bytes(gzip.compress(plain))  # as older versions wrote it
    assert firsts(file, count) == expected


def test_no_more_is_unpacked_than_is_asked_for(file):
    """The second half of every member is overwritten: nobody looks there."""
    content, at = bytearray(file.read_bytes()), 0
    for part in PARTS:
        size = len(sample_member(part))
        content[at + size // 2 : at + size] = b"\0" * (size - size // 2)
        at += size
    file.write_bytes(content)
    assert firsts(file, 1) == [part[:1] for part in PARTS]


@pytest.mark.parametrize("cut", [1, 8, 100])
def test_a_torn_file_is_noticed(file, cut):
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(EOFError, match="ends in the middle of a member"):
        firsts(file, 1)


def test_a_size_that_leads_nowhere_ends_the_reading(file):
    content = bytearray(file.read_bytes())
    content[16:24] = bytes(8)
    file.write_bytes(content)
    with pytest.raises(EOFError):
        firsts(file, 1)


def test_an_empty_file_has_no_parts(tmp_path):
    (tmp_path / "empty").touch()
    assert firsts(tmp_path / "empty", 1) == []
