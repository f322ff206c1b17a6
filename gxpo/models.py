"""Load a policy and its tokenizer from a folder or a hub name, and phrase prompts for it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import CONFIG_NAME, cached_file

from gxpo.errors import CellError, UserError
from gxpo.problem import Problem

ADAPTER = "adapter_model.safetensors"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class PromptStyle:
    """How a problem becomes a prompt; the same in training and evaluation.

    template: holds ``{problem}``; the model's own prompt around the problem set's.
    system: system message, for chat models only.
    chat: whether the prompt goes through the tokenizer's chat template.
    """

    template: str = "{problem}"
    system: str | None = None
    chat: bool = False

    @classmethod
    def of(cls, model_spec: dict[str, Any], problems_spec: dict[str, Any]) -> PromptStyle:
        """The prompt style of a model entry of the configuration on one of its problem sets."""
        question = problems_spec.get("template", "{problem}")
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


def load_tokenizer(path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, padding on the left as generation needs.

    A folder that names PreTrainedTokenizerFast is taken at its word: AutoTokenizer would turn a
    custom tokenizer beside a qwen2 config into Qwen2Tokenizer, with other token ids.
    """
    config = Path(path) / "tokenizer_config.json"
    custom = config.is_file() and json.loads(config.read_text()).get("tokenizer_class") in (
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
    )
    loader = PreTrainedTokenizerFast if custom else AutoTokenizer
    tokenizer = _load(loader, path, revision=revision, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(path: str, dtype: str = "float32", revision: str | None = None) -> PreTrainedModel:
    """The causal language model of a folder or hub name. Weights are read from safetensors alone,
    and the code is always the library's own."""
    model = _load(
        AutoModelForCausalLM, path, revision=revision, dtype=DTYPES[dtype], use_safetensors=True
    )
    # TRL loads the reference of the KL term by this name, without the revision.
    model.config._name_or_path = str(Path(cached_file(path, CONFIG_NAME, revision=revision)).parent)
    return model


def lora_config(spec: dict[str, Any]) -> LoraConfig | None:
    """peft's configuration of a model entry's ``lora``, None without one. Dropout stays 0: passes
    over the same batch would differ by its noise."""
    if "lora" not in spec:
        return None
    lora = spec["lora"]
    return LoraConfig(
        r=lora["r"],
        lora_alpha=lora["alpha"],
        target_modules=lora["targets"],
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
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


def weight_files(path: str) -> list[tuple[str, str]]:
    """(name, SHA-256) of the weights in a folder. Empty for a hub name, which has its revision."""
    return sorted(
        (file.name, _sha256(file, file.stat().st_size, file.stat().st_mtime_ns))
        for file in Path(path).glob("*.safetensors")
    )


@functools.cache
def _sha256(file: Path, _size: int, _changed: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def longest_prompt(
    tokenizer: PreTrainedTokenizerBase, style: PromptStyle, problems: Sequence[Problem]
) -> int:
    """Tokens of the longest prompt, as training and evaluation make them."""
    prompts = [style.prompt(problem.problem) for problem in problems]
    if style.chat:
        prompts = tokenizer.apply_chat_template(prompts, tokenize=False, add_generation_prompt=True)
    encoded = tokenizer(prompts, add_special_tokens=not style.chat).input_ids
    return max(map(len, encoded))


def load_adapted_model(base: PreTrainedModel, adapter: Path, merged: bool) -> PreTrainedModel:
    """``base`` with the LoRA adapter of a checkpoint, merged into its weights or beside them.
    Raises CellError where the adapter is not in safetensors: peft would take a pickle."""
    if not (adapter / ADAPTER).is_file():
        raise CellError(f"{adapter} has no {ADAPTER}: delete the cell's folder and train again")
    adapted = PeftModel.from_pretrained(base, str(adapter))
    return adapted.merge_and_unload() if merged else adapted


def _load(loader: Any, path: str, **kwargs: Any) -> Any:
    try:
        return loader.from_pretrained(path, trust_remote_code=False, **kwargs)
    except (OSError, ValueError) as error:  # ValueError: it brings code of its own
        first_line = str(error).strip().split("\n")[0]
        raise UserError(
            f"model {path!r} cannot be loaded: {first_line} (give a folder with a model in "
            "safetensors that needs no code of its own, or fetch a hub model with `gxpo prepare "
            "CONFIG` on a machine with network)"
        ) from error
