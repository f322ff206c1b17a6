"""A model's folder as it lies on the disk: its JSON files, what its safetensors name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gxpo.config import hub_models
from gxpo.host import UserError
from gxpo.policy import read_object

OPTIONAL = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
INDEX = "model.safetensors.index.json"
# Older names of what is max_position_embeddings today.
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len")


@dataclass(frozen=True)
class ModelFolder:
    """The files of a model, which are there."""

    path: Path

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file; empty where there is none. Raises UserError."""
        file = self.path / name
        return read_object(file) if file.exists() else {}

    @property
    def context(self) -> int | None:
        """Tokens that a prompt and its completion can have; None where config.json does not say."""
        config = self.json("config.json")
        text = config.get("text_config")
        text = text if isinstance(text, dict) else config
        found = [text[key] for key in CONTEXT_KEYS if isinstance(text.get(key), int)]
        return found[0] if found else None

    def refuse_damaged(self) -> None:
        """Raise UserError for files that cannot be read as what they are."""
        if not (self.path / "config.json").exists():
            raise UserError(f"{self.path} has no config.json: it is no folder of a model")
        for name in ("config.json", *OPTIONAL):
            self.json(name)
        for name in ("config.json", "generation_config.json"):
            ends = self.json(name).get("eos_token_id")
            listed = ends if isinstance(ends, list) else [ends]
            if not all(end is None or type(end) is int for end in listed):
                raise UserError(
                    f"{self.path / name}: eos_token_id is {ends!r}: it must be a token's number, "
                    "or a list of them"
                )
        self.parameters()

    def parameters(self) -> list[str]:
        """The names of all tensors. Raises UserError where the weights are not whole, or not in
        safetensors."""
        shards = {str(name) for name in self.json(INDEX).get("weight_map", {}).values()}
        files = [self.path / name for name in sorted(shards)] or sorted(
            self.path.glob("*.safetensors")
        )
        if not files:
            raise UserError(f"{self.path} has no weights in safetensors")
        return [name for file in files for name in _tensors(file)]


def folder_of(model_spec: dict[str, Any], path: str) -> ModelFolder | None:
    """The folder of a model, or None where it is still to be made or fetched. path: of a cell.

    Raises UserError where it is neither there nor on the hub.
    """
    if Path(path).is_dir():
        return ModelFolder(Path(path))
    if "architecture" in model_spec:
        return None
    if path not in hub_models({"models": {"": model_spec}}):
        raise UserError(f"{path!r} is neither a folder nor the name of a model on the hub")
    from huggingface_hub import try_to_load_from_cache  # half a second

    config = try_to_load_from_cache(path, "config.json", revision=model_spec.get("revision"))
    return ModelFolder(Path(config).parent) if isinstance(config, str) else None


def _tensors(file: Path) -> list[str]:
    """Names in the header of a safetensors file: 8 bytes that say its length, then JSON with the
    place of every tensor in the rest (the format's own description)."""
    try:
        with file.open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
            size = file.stat().st_size
            header = json.loads(content.read(length)) if 8 + length <= size else None
        if header is None:
            raise ValueError("its header is cut off")
        tensors = {name: about for name, about in header.items() if name != "__metadata__"}
        end = max((about["data_offsets"][1] for about in tensors.values()), default=0)
        if 8 + length + end != size:
            raise ValueError(f"it has {size} bytes, its header speaks of {8 + length + end}")
    except FileNotFoundError:
        raise UserError(f"{file} is missing, though {INDEX} names it") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{file} is not whole: {error}: fetch or copy it again") from error
    return list(tensors)
