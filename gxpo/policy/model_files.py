"""The files of a model's folder, without loading any of them into a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gxpo.host import UserError


def read_object(file: Path) -> dict[str, Any]:
    """A JSON file that holds an object. Raises UserError, naming the file, for any other."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"model file {file} is no JSON: {error}") from error
    except OSError as error:
        raise UserError(f"model file {file} cannot be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise UserError(f"model file {file} must hold a JSON object, not {str(content)[:40]}")
    return content
