"""Which tokens end a completion."""

from __future__ import annotations

from transformers import (
    GenerationConfig,
    PreTrainedTokenizerBase,
)


def stop_tokens(path: str, revision: str | None, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Token ids that end a completion: the tokenizer's end of sequence, and what the model's
    generation_config.json adds (chat models end a turn with another token than a text)."""
    stop = {tokenizer.eos_token_id}
    try:
        ends = GenerationConfig.from_pretrained(path, revision=revision).eos_token_id
    except OSError:  # the file is optional
        return stop
    return stop | set(ends if isinstance(ends, list) else [] if ends is None else [ends])
