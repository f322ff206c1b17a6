"""Prompts that a model cannot be given: its template refuses them, its context is too short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gxpo.cells import evaluation_sets
from gxpo.host import UserError
from gxpo.policy import PromptStyle, prompt_lengths
from gxpo.problems import Problem, is_prepared, load_problems

PROBE = "How much is 3 + 4 ?"


def refuse_template(model_spec: Mapping[str, Any], tokenizer: Any, path: str) -> None:
    """Raise UserError where a chat model has no chat template, or one that does not take the
    messages of this suite, all of which have the same roles. path: of the model."""
    if not model_spec["chat"]:
        return
    if tokenizer.chat_template is None:
        raise UserError(
            f"chat: true, but the tokenizer of {path} has no chat template "
            "(chat_template.jinja, or chat_template in tokenizer_config.json): set chat: false, or "
            "add one"
        )
    system = model_spec.get("system")
    style = PromptStyle("{problem}", system, chat=True)
    try:
        text = _rendered(tokenizer, style.messages(PROBE))
    except Exception as error:  # whatever a model's own template does
        remedy = "mend the template"
        if system and _takes(tokenizer, PromptStyle(chat=True)):
            remedy = "leave out system, without which it takes them, or mend the template"
        raise UserError(_refused(path, style.messages(PROBE), error, remedy)) from error
    turn = [{"role": "user", "content": PROBE}, {"role": "assistant", "content": "7"}]
    try:
        tokenizer.apply_chat_template(turn, tokenize=False)
    except Exception as error:
        raise UserError(_refused(path, turn, error, "mend the template")) from error
    for what, needed in (("system message", system), ("problem", PROBE)):
        if needed and needed.strip() not in text:
            raise UserError(f"the chat template of {path} leaves the {what} out of the prompt")


def refuse_prompts(
    model_spec: Mapping[str, Any],
    train: Mapping[str, Any],
    evaluate: dict[str, Any],
    training: Sequence[Problem] | None,
    tokenizer: Any,
    context: int,
) -> None:
    """Raise UserError where a prompt and its completion exceed the model's context: what is
    evaluated too, or that would end a cell after all its training.

    training: the problems to train on; None where they are not here yet. context: in tokens.
    """
    sets = {f"evaluate ({k})": (spec, evaluate) for k, spec in evaluation_sets(evaluate).items()}
    for name, (spec, settings) in {"train": (train, train), **sets}.items():
        problems = training if name == "train" else _prepared(spec)
        if not problems:
            continue
        limit = settings["max_completion_length"]
        lengths = prompt_lengths(tokenizer, PromptStyle.of(dict(model_spec), dict(spec)), problems)
        longest = max(lengths)
        if longest + limit > context:
            which = problems[lengths.index(longest)].id
            many = sum(length + limit > context for length in lengths)
            raise UserError(
                f"{name}: the prompt of problem {which!r} has {longest} tokens: with "
                f"max_completion_length = {limit} that exceeds the model's context of {context}; "
                f"{many} of {len(problems)} problems are too long: leave them out, or lower "
                "max_completion_length"
            )


def _prepared(spec: Mapping[str, Any]) -> list[Problem] | None:
    if not is_prepared(spec["problems"]):
        return None
    return load_problems(spec["problems"], spec.get("limit"))


def _rendered(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _takes(tokenizer: Any, style: PromptStyle) -> bool:
    try:
        _rendered(tokenizer, style.messages(PROBE))
    except Exception:
        return False
    return True


def _refused(path: str, messages: list[dict[str, str]], error: Exception, remedy: str) -> str:
    roles = ", ".join(message["role"] for message in messages)
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"the chat template of {path} refuses messages of {roles}: {reason}: {remedy}"
