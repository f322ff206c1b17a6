"""A reward of one's own: a Python file with a function ``reward``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gxpo.catalog.methods import module_of
from gxpo.host import UserError

OFFERED = ("completions", "answers", "prompts")


def reward_file(path: str) -> Path:
    """The file of a reward, relative to the working directory. Raises UserError where there is
    none."""
    if not path.endswith(".py") or not Path(path).is_file():
        raise UserError(f"reward {path!r}: there is no such .py file")
    return Path(path).resolve()


def reward_source(path: str) -> str:
    """What a run depends on of a reward's code: the text of its file."""
    return reward_file(path).read_text(encoding="utf-8")


def load_reward(path: str) -> Callable[..., Any]:
    """The function ``reward`` of a file. It takes any of ``completions``, ``answers`` and
    ``prompts`` (lists of text, an entry a completion) and returns a list of numbers.

    Raises UserError where the file cannot be imported, or its function called so.
    """
    file = reward_file(path)
    function = getattr(module_of(file, "rewards"), "reward", None)
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
        raise UserError(
            f"{path} must define a plain function reward(completions, answers, prompts) that "
            "returns a list of numbers"
        )
    parameters = inspect.signature(function).parameters.values()
    asked = [p.name for p in parameters if p.default is p.empty and p.kind != p.VAR_KEYWORD]
    if unknown := [name for name in asked if name not in OFFERED]:
        raise UserError(
            f"{path}: reward() asks for {unknown[0]!r}: there are {', '.join(OFFERED)}, each by "
            "its name"
        )
    if "completions" not in [p.name for p in parameters]:
        raise UserError(f"{path}: reward() does not take completions, what it is to judge")
    return function
