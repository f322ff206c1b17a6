"""Secrets do not leave the process: what is written to logs, result files and MLflow goes through
here where it can hold text from the environment or from a service's error message."""

from __future__ import annotations

import os
import re
from typing import Any

HIDDEN = "[redacted]"
SECRET_NAME = re.compile(
    r"(TOKEN|SECRET|PASS(W(OR)?D|PHRASE)?|CREDENTIAL|KEY|JWT)S?(_|$)|_(PWD|PAT)$", re.IGNORECASE
)  # not PWD itself, a folder
SHORTEST = 8  # characters; hiding a shorter value would hide common words too
CREDENTIALS = re.compile(r"""(://)[^\s/@:'"]*(:[^\s'"]*)?@""")  # a password may hold an @


def redact(text: str) -> str:
    """``text`` without the values of environment variables whose names say that they are secret
    (HF_TOKEN, AWS_SECRET_ACCESS_KEY, ...) and without the credentials in ``scheme://user:pw@host``.
    """
    names = [name for name in list(os.environ) if SECRET_NAME.search(name)]
    found = (os.environ.get(name, "") for name in names)  # another thread may remove one meanwhile
    values = [value for value in found if len(value) >= SHORTEST]
    for value in sorted(values, key=len, reverse=True):  # one may be part of another
        text = text.replace(value, HIDDEN)
    return CREDENTIALS.sub(rf"\g<1>{HIDDEN}@", text)


def redacted(value: Any) -> Any:
    """The same for all strings in a JSON-like value, keys included."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redacted(key): redacted(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(entry) for entry in value]
    return value
