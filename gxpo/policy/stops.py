"""How a policy samples and stops: one description for rollouts and evaluation, on every backend.

A policy is sampled from its own distribution, by temperature alone. What else a model folder's
generation_config.json asks for (top-k, min-p, penalties, suppressed tokens) would make training and
evaluation speak of different policies: it is left out everywhere.

It stops at every token that any file of the folder names as an end. Chat models end a turn with
another token than a text, and converted folders often name one of the two only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gxpo.host import UserError
from gxpo.policy.model_files import read_object

if TYPE_CHECKING:  # what only looks at files must not take the seconds of importing torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONFIG_NAME, GENERATION_CONFIG_NAME = "config.json", "generation_config.json"
TURN = "End of this turn"  # an answer whose place in a rendered conversation is found again


def stop_tokens(
    path: str, revision: str | None, tokenizer: PreTrainedTokenizerBase, chat: bool
) -> dict[int, list[str]]:
    """Token id that ends a completion -> where it is named: the tokenizer, config.json,
    generation_config.json, the chat template.

    Raises UserError where there is none, or where the template ends a turn with a text that is no
    token: the policy could not be stopped there.
    """
    found: dict[int, list[str]] = defaultdict(list)
    for source, ends in (
        ("tokenizer", tokenizer.eos_token_id),
        (CONFIG_NAME, _named_in(path, revision, CONFIG_NAME)),
        (GENERATION_CONFIG_NAME, _named_in(path, revision, GENERATION_CONFIG_NAME)),
        ("chat template", turn_end(tokenizer) if chat else None),
    ):
        for token in ends if isinstance(ends, list) else [ends]:
            if token is not None and source not in found[token]:
                found[token].append(source)
    if not found:
        raise UserError(f"model {path!r}: no file of it names a token that ends a text")
    return dict(sorted(found.items()))


def sample_plainly(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, stops: dict[int, list[str]]
) -> None:
    """Have ``generate()`` stop at ``stops`` and ask nothing else of the model's own settings, which
    are also what cannot always be saved with a checkpoint (a temperature without sampling)."""
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(
        eos_token_id=list(stops),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )


def sampling_record(
    temperature: float, stops: dict[int, list[str]], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """What ``run.json`` says of it."""
    return {
        "temperature": temperature,
        "stops": [
            {"id": token, "token": tokenizer.convert_ids_to_tokens(token), "named_in": sources}
            for token, sources in stops.items()
        ],
    }


def recorded_stops(run: Mapping[str, Any]) -> set[int]:
    """The ids of ``sampling_record`` in a cell's run.json: it is evaluated as it was trained,
    whatever has become of the model's folder. Raises UserError where there is none."""
    if "sampling" not in run:
        raise UserError("run.json does not say at which tokens training stopped: train it again")
    return {stop["id"] for stop in run["sampling"]["stops"]}


def _named_in(path: str, revision: str | None, name: str) -> Any:
    """``eos_token_id`` of a JSON file of the model; None where file or key are absent. Raises
    UserError for a file that is no JSON."""
    from transformers.utils import cached_file

    file = cached_file(
        path,
        name,
        revision=revision,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if file is None:
        return None
    content = read_object(Path(file))
    return content.get("eos_token_id", content.get("text_config", {}).get("eos_token_id"))


def turn_end(tokenizer: Any) -> int | None:
    """The token with which the chat template ends an assistant's turn; None where it ends with
    white space, or nothing. Raises UserError where it ends with a text that is no token."""
    turn = [{"role": "user", "content": "?"}, {"role": "assistant", "content": TURN}]
    text = str(tokenizer.apply_chat_template(turn, tokenize=False))
    tail = text.rpartition(TURN)[2].strip()
    if not tail:
        return None
    first = tokenizer(tail, add_special_tokens=False).input_ids[0]
    known = first in tokenizer.added_tokens_decoder and first != tokenizer.unk_token_id
    if not known:
        raise UserError(
            f"the chat template ends a turn with {tail!r}, of which the tokenizer makes pieces and "
            "no token of its own: completions would not stop there; add it to the tokenizer's "
            "special tokens, or mend the template"
        )
    return first
