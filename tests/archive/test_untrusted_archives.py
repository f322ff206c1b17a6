"""Archives that somebody made to do harm: refused with a line, or harmless."""

import gzip
import json
import stat
import zipfile
import zlib
from pathlib import Path

import pytest
import yaml
from support.small import run

from gxpo.archive import unpack as door
from gxpo.archive.layout import CONFIG, METADATA

SEED0 = "results/test/runs/tiny/grpo/seed0"


def entry(name, mode=stat.S_IFREG | 0o644):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def with_entries(archive, out, *entries):
    """A copy of an archive with more entries."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(entry(name), source.read(name))
        for info, content in entries:
            target.writestr(info, content)
    return out


def refused(monkeypatch, capsys, archive):
    """The line that every command that reads archives refuses it with."""
    said = set()
    for command in (("verify", archive), ("tables", archive), ("merge", "out.zip", archive)):
        assert run(monkeypatch, *command) == 2, command
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")
        said.add(error)
    assert not Path("out.zip").exists()
    (line,) = said
    return line


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("../outside.txt", stat.S_IFREG, "leaves the folder"),
        ("/tmp/outside.txt", stat.S_IFREG, "leaves the folder"),
        ("results\\..\\..\\outside.txt", stat.S_IFREG, "leaves the folder"),
        ("C:/outside.txt", stat.S_IFREG, "leaves the folder"),
        ("link.txt", stat.S_IFLNK, "is a link"),
        ("pipe.txt", stat.S_IFIFO, "is a link, or no file"),
        ("state.pkl", stat.S_IFREG, "is of a kind that no archive has"),
        ("weights.bin", stat.S_IFREG, "is of a kind that no archive has"),
        ("Makefile", stat.S_IFREG, "is of a kind that no archive has"),
        ("a\x1b[31mred.txt", stat.S_IFREG, "characters that no archive has"),
        ("caf\u00e9.txt", stat.S_IFREG, "characters that no archive has"),
        ("CONFIG.yaml", stat.S_IFREG, "twice"),
    ],
)
def test_names_and_kinds_are_refused(archive, workdir, monkeypatch, capsys, name, mode, words):
    bad = with_entries(archive, workdir / "bad.zip", (entry(name, mode | 0o644), b"/etc/passwd"))
    line = refused(monkeypatch, capsys, bad)
    assert words in line
    assert "\x1b" not in line
    assert not (workdir.parent / "outside.txt").exists()


def test_an_encrypted_entry_is_refused(archive, workdir, monkeypatch, capsys):
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile("bad.zip", "w") as target:
        for name in source.namelist():
            target.writestr(entry(name), source.read(name))
    data = bytearray(Path("bad.zip").read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    Path("bad.zip").write_bytes(data)
    assert "is encrypted" in refused(monkeypatch, capsys, "bad.zip")


def test_bombs_are_refused_before_they_go_off(archive, workdir, monkeypatch, capsys):
    zeros = bytes(63 << 20)
    monkeypatch.setattr(door, "RATIO", 500)
    flat = with_entries(archive, workdir / "flat.zip", (entry("zeros.txt"), zeros))
    assert "a bomb" in refused(monkeypatch, capsys, flat)

    monkeypatch.setattr(door, "LARGEST_LINE", 1 << 20)
    line = with_entries(archive, workdir / "line.zip", (entry("a.jsonl.gz"), gzip.compress(zeros)))
    assert "a bomb" in refused(monkeypatch, capsys, line)

    monkeypatch.setattr(door, "LARGEST_FILE", 32 << 20)
    lines = gzip.compress(b"1\n" * (20 << 20))
    many = with_entries(archive, workdir / "many.zip", (entry("a.jsonl.gz"), lines))
    assert "a bomb" in refused(monkeypatch, capsys, many)

    monkeypatch.setattr(door, "MOST_FILES", 10)
    assert "at most 10" in refused(monkeypatch, capsys, archive)


def test_yaml_that_grows_or_runs_is_refused(changed, workdir, monkeypatch, capsys):
    lines = ["a: &a [x, x]"] + [f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}]" for i in range(9)]
    bomb = changed(CONFIG, lambda _: "\n".join(lines).encode())
    assert "has aliases" in refused(monkeypatch, capsys, bomb)
    code = changed(CONFIG, lambda _: b"!!python/object/apply:os.system ['touch ran']")
    assert "config.yaml" in refused(monkeypatch, capsys, code)
    assert not Path("ran").exists()
    assert "is no YAML" in refused(monkeypatch, capsys, changed(CONFIG, lambda _: b"\xff\xfe{"))


def test_json_that_exhausts_the_stack_is_refused(changed, workdir, monkeypatch, capsys):
    deep = changed(f"{SEED0}/run.json", lambda _: b"[" * 200_000)
    assert "is no JSON" in refused(monkeypatch, capsys, deep)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "../../x", "a b", "con\x00"])
def test_labels_that_are_no_labels_are_refused(changed, workdir, monkeypatch, capsys, name):
    def change(data):
        config = yaml.safe_load(data)
        config["methods"][name] = config["methods"].pop("mine")
        return yaml.safe_dump(config).encode()

    assert "bad label" in refused(monkeypatch, capsys, changed(CONFIG, change))


@pytest.mark.parametrize("method", ["/etc/passwd.py", "../../x.py", "os; import x"])
def test_no_rule_of_an_archive_is_imported(changed, workdir, monkeypatch, capsys, method):
    def change(data):
        config = yaml.safe_load(data)
        config["methods"]["mine"]["method"] = method
        return yaml.safe_dump(config).encode()

    bad = changed(CONFIG, change)
    code = run(monkeypatch, "verify", bad)
    assert code in (1, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_scripts_in_texts_are_shown_as_text(changed, workdir, monkeypatch, capsys):
    """What a policy wrote, and what a record says, are escaped on the page made from an archive."""
    script = "<script>alert(1)</script>"

    def change(data):
        run_json = json.loads(data)
        run_json["git_commit"] = script
        run_json["hardware"]["processor"] = script
        return json.dumps(run_json).encode()

    bad = changed(f"{SEED0}/run.json", change, hidden=True)
    assert run(monkeypatch, "report", bad) == 0
    page = Path("changed-report.html").read_text()
    assert script not in page
    assert "&lt;script&gt;alert(1)" in page


SHAPES = [
    ("run.json", b"[]"),
    ("run.json", b"{}"),
    ("run.json", b'{"inputs": 3}'),
    ("run.json", b'{"inputs": {"settings": []}, "identity": 1, "checkpoints": "x"}'),
    ("evaluation.json", b"[1]"),
    ("evaluation.json", b'{"files": 7, "identity": null}'),
    ("scores.csv", b""),
    ("scores.csv", b"step,benchmark\nx,y\n"),
    ("metrics.jsonl", b"nothing\n"),
    ("metrics.jsonl", b'{"step": "x"}\n'),
    ("problems.parquet", None),
    ("samples.jsonl.gz", gzip.compress(b"{}\n")),
    ("samples.jsonl.gz", gzip.compress(b"nothing\n")),
]


@pytest.mark.parametrize(
    ("name", "content"), SHAPES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(SHAPES)]
)
def test_a_file_of_another_shape_is_a_verdict_and_no_crash(
    changed, workdir, monkeypatch, capsys, name, content
):
    def change(data):
        return data[: len(data) // 2] if content is None else content

    code = run(monkeypatch, "verify", changed(f"{SEED0}/{name}", change, hidden=True))
    said = capsys.readouterr()
    assert code in (1, 2)
    assert "Traceback" not in said.err
    if code == 1:
        assert "FAILED" in said.out
        assert len(said.out.splitlines()) <= 9


def test_what_is_no_archive_is_said(archive, workdir, monkeypatch, capsys):
    Path("text.zip").write_text("hello")
    assert run(monkeypatch, "verify", "text.zip") == 2
    assert "cannot be unpacked" in capsys.readouterr().err
    assert run(monkeypatch, "verify", "nothing.zip") == 2
    assert "nothing.zip" in capsys.readouterr().err
    whole = archive.read_bytes()
    Path("cut.zip").write_bytes(whole[: len(whole) // 2])
    assert run(monkeypatch, "verify", "cut.zip") == 2
    capsys.readouterr()
    with zipfile.ZipFile("other.zip", "w") as file:
        file.writestr("a.txt", "x")
    assert run(monkeypatch, "verify", "other.zip") == 2
    assert f"has no {CONFIG} and {METADATA}" in capsys.readouterr().err
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 0xFF
    Path("damaged.zip").write_bytes(damaged)
    assert run(monkeypatch, "verify", "damaged.zip") in (1, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_gzip_is_read_piece_by_piece(tmp_path):
    """A file of several members, one of them cut: damaged, and no more."""
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n" * 100_000))
    door.refuse_growing(file, "a.gz")
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(door.UserError, match="damaged"):
        door.refuse_growing(file, "a.gz")
    file.write_bytes(zlib.compress(b"no gzip"))
    with pytest.raises(door.UserError, match="damaged"):
        door.refuse_growing(file, "a.gz")
