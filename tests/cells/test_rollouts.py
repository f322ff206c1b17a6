"""rollouts.jsonl.gz: appended step by step, bounded, whole up to where a kill tore it."""

import gzip
import json

import pytest
from support.rollouts import kept_row

from gxpo.cells import append_rollouts, is_kept, keep_rollouts_until, read_rollouts, rollout_row
from gxpo.cells.rollouts import LARGEST, LONGEST, MOST


@pytest.fixture
def file(tmp_path):
    """Steps 1 to 4, two prompts each."""
    path = tmp_path / "rollouts.jsonl.gz"
    for step in range(1, 5):
        append_rollouts(path, [kept_row(step, "first"), kept_row(step, "second")])
    return path


def steps(path):
    return [row["step"] for row in read_rollouts(path)]


def test_what_is_appended_is_read_back_also_by_gzip(file):
    rows = read_rollouts(file)
    assert rows == [kept_row(s, p) for s in range(1, 5) for p in ("first", "second")]
    assert [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()] == rows


def test_a_member_torn_anywhere_is_left_out_whole(file):
    whole = file.read_bytes()
    append_rollouts(file, [kept_row(5, "first"), kept_row(5, "second")])
    longer = file.read_bytes()
    assert longer.startswith(whole)
    for length in range(len(whole), len(longer)):
        file.write_bytes(longer[:length])
        assert steps(file) == [1, 1, 2, 2, 3, 3, 4, 4], length
    file.write_bytes(longer)
    assert steps(file)[-2:] == [5, 5]


def test_after_a_torn_member_the_file_goes_on_as_if_nothing_had_been(file):
    whole = read_rollouts(file)
    file.write_bytes(file.read_bytes()[:-7])
    keep_rollouts_until(file, 2)
    assert steps(file) == [1, 1, 2, 2]
    for step in (3, 4):
        append_rollouts(file, [kept_row(step, "first"), kept_row(step, "second")])
    assert read_rollouts(file) == whole


def test_a_changed_byte_ends_what_is_read_and_is_not_shown(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    read = read_rollouts(file)
    assert 0 < len(read) < 8
    assert read == [kept_row(s, p) for s in range(1, 5) for p in ("first", "second")][: len(read)]


def test_a_file_that_is_not_there_stays_away(tmp_path):
    keep_rollouts_until(tmp_path / "rollouts.jsonl.gz", 3)
    assert read_rollouts(tmp_path / "rollouts.jsonl.gz") == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("character", ["a", "\\", "\x1b", "\u6570", "\U0001f600", "\ud800"])
def test_a_row_is_bounded_whatever_is_written(tmp_path, character):
    text = character * 50_000
    one = {"text": text, "reward": 1.0, "rewards": {"correct": 1.0}, "tokens": 9, "ended": False}
    row = rollout_row(1, text, text, [one] * (MOST + 1))
    append_rollouts(tmp_path / "file", [row])
    (read,) = read_rollouts(tmp_path / "file")
    texts = [read["prompt"], read["answer"], *(c["text"] for c in read["completions"])]
    assert len(texts) == 2 + MOST
    for cut in texts:
        assert len(json.dumps(cut, ensure_ascii=False).encode()) <= LONGEST
        assert "characters are left out" in cut


@pytest.mark.parametrize("prompts", [1, 16])
@pytest.mark.parametrize("group", [2, 8, 512])
@pytest.mark.parametrize("total", [1, 40, 300, 20_000])
def test_the_largest_possible_file_keeps_its_bound_the_first_step_and_the_last(
    prompts, group, total
):
    train = {"keep_completions": prompts, "num_generations": group, "steps": total}
    kept = [step for step in range(1, total + 1) if is_kept(step, train)]
    assert {1, total} <= set(kept)
    long = "x" * (2 * LONGEST)
    rewards = {"correct": 0.0, "boxed_once": 0.0}
    one = {"text": long, "reward": 0.12345678901234567, "rewards": rewards}
    one |= {"tokens": 10**6, "ended": False}
    row = rollout_row(total, long, long, [one] * group)
    line = len(json.dumps(row, ensure_ascii=False).encode()) + 1
    assert len(kept) * prompts * line <= LARGEST


def test_a_run_of_the_papers_size_keeps_every_step_and_none_are_kept_with_0():
    train = {"keep_completions": 1, "num_generations": 5, "steps": 300}
    assert all(is_kept(step, train) for step in range(1, 301))
    assert not any(is_kept(step, train | {"keep_completions": 0}) for step in range(1, 301))
