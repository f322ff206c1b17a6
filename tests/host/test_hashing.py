"""Hashes of files, remembered only while nothing could have changed."""

import hashlib
import json
import os
import time

import pytest

from gxpo.host import file_sha256, hashing


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file that is worth remembering, whose last change counts as long ago."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashing, "LARGE", 4)
    hour_later = time.time() + 3600
    monkeypatch.setattr("gxpo.host.hashing.time.time", lambda: hour_later)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"weights")
    return file


@pytest.fixture
def counted(monkeypatch):
    """How often a content was read."""
    reads = []
    original = hashing._hash
    monkeypatch.setattr(hashing, "_hash", lambda path: reads.append(path) or original(path))
    return reads


def test_a_large_file_is_read_once_by_all_processes(large, counted):
    assert file_sha256(large) == sha(b"weights")
    hashing._read.cache_clear()  # as another process
    assert file_sha256(large) == sha(b"weights")
    assert len(counted) == 1


@pytest.mark.parametrize("how", ["in place", "renamed over"])
def test_other_content_of_the_same_size_and_time_is_noticed(large, how):
    file_sha256(large)
    state = large.stat()
    other = large.with_name("other") if how == "renamed over" else large
    other.write_bytes(b"WEIGHTS")
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))  # cp -a, rsync -a
    other.replace(large)
    assert large.stat().st_mtime_ns == state.st_mtime_ns
    assert file_sha256(large) == sha(b"WEIGHTS")


def test_a_file_of_this_moment_is_not_remembered(large, counted, monkeypatch):
    """Another write could bear the same time."""
    monkeypatch.setattr("gxpo.host.hashing.time.time", lambda: large.stat().st_ctime + 1)
    for _ in range(2):
        assert file_sha256(large) == sha(b"weights")
    assert len(counted) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}', "\x00"])
def test_a_damaged_cache_costs_nothing_but_time(large, content):
    cache = large.parent / "cache" / "gxpo" / "hashes.json"
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    hashing._read.cache_clear()
    assert file_sha256(large) == sha(b"weights")


def test_a_home_that_cannot_be_written_is_no_obstacle(large, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert file_sha256(large) == sha(b"weights")


def test_the_cache_holds_hashes_by_path(large):
    file_sha256(large)
    cache = json.loads((large.parent / "cache" / "gxpo" / "hashes.json").read_text())
    assert cache[str(large)]["sha256"] == sha(b"weights")
