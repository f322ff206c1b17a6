"""An archive's files into an empty folder: the one door, for files that anybody may have made.

Refused before anything is written: names that leave the folder or that differ in case or spelling
alone, links and devices, encrypted entries, other kinds of files than an archive has, more or
larger ones than any run has, entries that unpack to more than they say. And afterwards, before
anything reads them: gzip files, Parquet tables and YAML that would grow in memory.
"""

from __future__ import annotations

import json
import re
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import yaml

from gxpo.archive.layout import METADATA, SUFFIXES
from gxpo.host import UserError, visible

MOST_FILES = 200_000
LARGEST_FILE, LARGEST_ALL = 4 << 30, 64 << 30  # bytes, unpacked
LARGEST_TEXT = 64 << 20  # of a file that is read whole: JSON, YAML, HTML, ...
LARGEST_YAML = 1 << 20
LARGEST_LINE = 4 << 20  # of a compressed file of lines
RATIO, RATIO_FROM = 1000, 16 << 20  # of deflate's best, 1032: nothing that people write has it
STREAMED = (".gz", ".parquet", ".safetensors", ".jsonl")
_CHARACTERS = re.compile(r"[\w.+@ =,()~#-]+", re.ASCII)


def is_archive(path: Path) -> bool:
    """Whether a path is one: a zip file, or a folder that ``unpack`` or ``gxpo merge`` made."""
    return (path / METADATA).is_file() if path.is_dir() else zipfile.is_zipfile(path)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` into the empty ``folder``. Raises UserError, naming the entry, for what no
    archive of ours holds; what is in the folder then is worth nothing."""
    try:
        with zipfile.ZipFile(archive) as file:
            entries = [entry for entry in file.infolist() if not entry.is_dir()]
            _refuse_entries(archive, file.infolist())
            for entry in entries:
                _write(file, entry, folder / entry.filename, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise UserError(f"archive {archive} cannot be unpacked: {error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"archive {archive}: a name in it is no text: {error}") from error
    for entry in entries:
        refuse_growing(folder / entry.filename, f"archive {archive}: {entry.filename}")


def _refuse_entries(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_FILES:
        raise UserError(f"archive {archive} has {len(entries)} files, at most {MOST_FILES}")
    seen: dict[str, str] = {}
    total = 0
    for entry in entries:
        if reason := _problem(entry):
            raise UserError(f"archive {archive}: {visible(entry.filename)[:200]!r} {reason}")
        key = unicodedata.normalize("NFKC", entry.filename).casefold()
        if key in seen:
            raise UserError(f"archive {archive} has {entry.filename!r} twice, as {seen[key]!r}")
        seen[key] = entry.filename
        total += entry.file_size
    if total > LARGEST_ALL:
        raise UserError(f"archive {archive} unpacks to {total:,} bytes, at most {LARGEST_ALL:,}")


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry is none of an archive, in words."""
    name, path = entry.filename, PurePosixPath(entry.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        return "leaves the folder"
    if not all(_CHARACTERS.fullmatch(part) for part in path.parts) or not path.parts:
        return "is a name with characters that no archive has"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link, or no file"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.is_dir():
        return None
    if path.suffix not in SUFFIXES or (path.suffix == "" and path.name != "LICENSE"):
        return f"is of a kind that no archive has (allowed are {', '.join(filter(None, SUFFIXES))})"
    if entry.file_size > (LARGEST_FILE if path.suffix in STREAMED else LARGEST_TEXT):
        return f"is too large: {entry.file_size:,} bytes"
    if entry.file_size > max(RATIO_FROM, RATIO * entry.compress_size):
        return "is compressed more than anything that people write: a bomb"
    return None


def _write(file: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, archive: Path) -> None:
    """Its bytes, as many as its header says: zipfile itself stops there, and checks their CRC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with file.open(entry) as source, path.open("xb") as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)


def refuse_growing(path: Path, name: str) -> None:
    """Raise UserError for a file that would take far more memory to read than it has bytes."""
    if path.suffix == ".gz":
        _refuse_gzip(path, name)
    elif path.suffix == ".parquet":
        _refuse_parquet(path, name)
    elif path.suffix == ".yaml":
        _refuse_yaml(path, name)
    elif path.suffix == ".json":
        try:
            json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise UserError(f"{name} is no JSON: {str(error)[:200]}") from error


def _refuse_gzip(path: Path, name: str) -> None:
    """Unpacked piece by piece, and thrown away."""
    total, line = 0, 0
    with path.open("rb") as file:
        data = file.read(1 << 16)
        while data:
            member = zlib.decompressobj(wbits=31)
            while data and not member.eof:
                try:
                    text = member.decompress(data, 1 << 20)
                except zlib.error as error:
                    raise UserError(f"{name} is damaged: {error}") from error
                data = member.unused_data if member.eof else member.unconsumed_tail
                data = data or file.read(1 << 16)
                total += len(text)
                end = text.rfind(b"\n")
                line = line + len(text) if end < 0 else len(text) - end - 1
                if total > LARGEST_FILE or line > LARGEST_LINE:
                    raise UserError(f"{name} unpacks to more than any file of a run: a bomb")
            if not member.eof:
                raise UserError(f"{name} is damaged: it ends in the middle")


def _refuse_parquet(path: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        about = pq.ParquetFile(path).metadata
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{name} is no Parquet table: {str(error)[:200]}") from error
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > LARGEST_FILE or about.num_rows > 10**9:
        raise UserError(f"{name} unpacks to more than any table of a run: a bomb")


def _refuse_yaml(path: Path, name: str) -> None:
    """Aliases are what makes a few lines of YAML endless; nothing that is packed has any."""
    if path.stat().st_size > LARGEST_YAML:
        raise UserError(f"{name} is too large for a configuration")
    try:
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise UserError(f"{name} has aliases, which no archive has: a bomb")
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{name} is no YAML: {' '.join(str(error).split())[:200]}") from error
