"""How a problem becomes a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gxpo.host import text_sha256
from gxpo.problems import Problem

QUESTION = "{problem}"  # a problem as it is


@dataclass(frozen=True)
class PromptStyle:
    """How a problem becomes a prompt; the same in training and evaluation.

    template: holds ``{problem}``; the model's own prompt around the problem set's.
    system: system message, for chat models only.
    chat: whether the prompt goes through the tokenizer's chat template.
    """

    template: str = QUESTION
    system: str | None = None
    chat: bool = False

    @classmethod
    def of(cls, model_spec: dict[str, Any], problems_spec: dict[str, Any]) -> PromptStyle:
        """The prompt style of a model entry of the configuration on one of its problem sets."""
        question = problems_spec.get("template", QUESTION)
        template = model_spec["prompt"].replace("{problem}", question)
        return cls(template, model_spec.get("system"), model_spec["chat"])

    def messages(self, problem: str) -> list[dict[str, str]]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.text(problem)}]

    def text(self, problem: str) -> str:
        return self.template.replace("{problem}", problem)

    def prompt(self, problem: str) -> Any:
        """What TRL expects in its ``prompt`` column: messages for chat models, else a string."""
        return self.messages(problem) if self.chat else self.text(problem)


def prompt_lengths(tokenizer: Any, style: PromptStyle, problems: Sequence[Problem]) -> list[int]:
    """Tokens of every prompt, as training and evaluation make them."""
    prompts = _rendered(tokenizer, style, problems)
    encoded = tokenizer(prompts, add_special_tokens=not style.chat).input_ids
    return [len(ids) for ids in encoded]


def prompt_hash(tokenizer: Any, style: PromptStyle, problems: Sequence[Problem]) -> str:
    """A hash of the prompts as the policy sees them: a template may write what no file says."""
    return text_sha256("\0".join(_rendered(tokenizer, style, problems)))


def _rendered(tokenizer: Any, style: PromptStyle, problems: Sequence[Problem]) -> list[str]:
    prompts = [style.prompt(problem.problem) for problem in problems]
    if style.chat:
        prompts = tokenizer.apply_chat_template(prompts, tokenize=False, add_generation_prompt=True)
    return prompts
