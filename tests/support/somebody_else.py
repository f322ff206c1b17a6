"""Work done as another user, whom permissions bind: root, as whom tests may run, they do not."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@contextmanager
def public_folder():
    """A working directory that every user may enter and write to."""
    before, folder = Path.cwd(), Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777)
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)
        shutil.rmtree(folder)


def as_nobody(work):
    """What ``work()`` returns or, as text, raises, in a process of a user without rights; needs
    root, who alone may become another."""
    if os.getuid() != 0:
        pytest.skip("only root may become another user; test_permissions has the words")
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said
