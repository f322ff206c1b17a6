r"""What a completion is paid for: a correct answer, and if asked for, its format.

As in the GXPO and SFPO papers the default is correctness alone, however the answer is stated. The
format reward is the kind that DeepSeek-R1 adds (arXiv:2501.12948, section 2.2), for the box that
prompts of the MATH style ask for. It pays for boxes around wrong answers, too; SimpleRL-Zoo
(arXiv:2503.18892) finds that insisting on a format can hold base models back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gxpo.grading import final_answer, is_correct


def correct(completions: list[Any], answer: list[str], **_: Any) -> list[float]:
    """The reward: 1 for a correct final answer, else 0."""
    return [
        float(is_correct(text, gold))
        for text, gold in zip(_texts(completions), answer, strict=True)
    ]


def boxed_once(completions: list[Any], **_: Any) -> list[float]:
    r"""1 for a completion with exactly one \boxed{...}, closed and not empty, else 0."""
    return [
        float(
            text.count("\\boxed{") == text.count("\\boxed") == 1 and final_answer(text) is not None
        )
        for text in _texts(completions)
    ]


def format_rewards(weight: float) -> list[Callable[..., list[float]]]:
    """The reward functions that stand beside ``correct``: none at weight 0."""
    return [boxed_once] if weight else []


def completion_text(completion: Any) -> str:
    """What is graded of a completion of TRL's: a text, or a chat model's message."""
    return completion if isinstance(completion, str) else completion[0]["content"]


def _texts(completions: list[Any]) -> list[str]:
    return [completion_text(completion) for completion in completions]


def parity(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A reward that a random policy earns half of the time: 1 where the token ids' sum is odd.
    For measurements and checks, which need a signal and no answers."""
    return [float(sum(ids) % 2) for ids in completion_ids]
