"""A checkpoint's weights behind the configured sampler."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from gxpo.cells import (
    STATE,
    Cell,
    checkpoint_folder,
)
from gxpo.evaluation.sampler.base import Sampler, Sampling
from gxpo.evaluation.sampler.hf import TransformersSampler
from gxpo.evaluation.sampler.vllm import VLLMSampler
from gxpo.host import CellError
from gxpo.policy.loading import load_adapted_model, load_model, load_tokenizer


@contextlib.contextmanager
def checkpoint_sampler(cell: Cell, step: int, stop: set[int]) -> Iterator[Sampler]:
    """The configured backend with a checkpoint's weights. stop: ids that end a completion."""
    spec, checkpoint = cell.model_spec, checkpoint_folder(cell.folder, step)
    if step and not checkpoint.is_dir():
        raise CellError(
            f"checkpoint {checkpoint} is missing, and what is asked for has not been evaluated: "
            f"move {cell.folder} away to train the cell again"
        )
    tokenizer = load_tokenizer(cell.model_path, spec.get("revision"))
    sampling = sampling_of(cell)
    with contextlib.ExitStack() as stack:
        sampler: Sampler
        if cell.evaluate["backend"] == "hf":
            device = "cuda" if torch.cuda.is_available() else "cpu"
            model = _policy(cell, step).to(device)
            size = cell.evaluate["batch_size"]
            sampler = TransformersSampler(model, tokenizer, spec["chat"], stop, size, sampling)
        else:
            source: dict[str, Any] = {"model": cell.model_path, "revision": spec.get("revision")}
            if step and "lora" not in spec:
                source = {"model": str(checkpoint)}
            elif step and cell.evaluate["lora"] == "adapter":
                source["adapter"] = (checkpoint, spec["lora"]["r"])
            elif step:
                merged = stack.enter_context(tempfile.TemporaryDirectory(dir=cell.folder / STATE))
                model = _policy(cell, step)
                model.generation_config = GenerationConfig()  # the model's own may not be savable
                model.save_pretrained(merged)
                source = {"model": merged}
            sampler = VLLMSampler(
                tokenizer=tokenizer,
                chat=spec["chat"],
                stop=stop,
                dtype=spec["dtype"],
                sampling=sampling,
                **source,
            )
        stack.callback(sampler.close)
        yield sampler


def sampling_of(cell: Cell) -> Sampling:
    return Sampling(cell.evaluate["temperature"], cell.evaluate["top_p"])


def _policy(cell: Cell, step: int) -> PreTrainedModel:
    """A checkpoint's model, loaded by transformers."""
    spec, checkpoint = cell.model_spec, checkpoint_folder(cell.folder, step)
    if step and "lora" not in spec:
        return load_model(str(checkpoint), spec["dtype"])
    model = load_model(cell.model_path, spec["dtype"], spec.get("revision"))
    if not step:
        return model
    return load_adapted_model(model, checkpoint, merged=cell.evaluate["lora"] == "merged")
