"""The one door to the model and data hub; only ``gxpo prepare`` goes through it.

No code of a dataset or a model is ever run: ``datasets`` reads data files only, and what is
downloaded of a model is its weights, configuration and tokenizer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from gxpo.host import UserError

MODEL_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt", "*.jinja"]


def dataset_commit(name: str) -> str:
    """The commit that the dataset's main branch stands at now."""
    from huggingface_hub import HfApi

    with _reachable("dataset", name):
        return _commit(HfApi().dataset_info(name), name)


def model_commit(name: str) -> str:
    """The commit that the model's main branch stands at now."""
    from huggingface_hub import HfApi

    with _reachable("model", name):
        return _commit(HfApi().model_info(name), name)


def load_rows(name: str, subset: str | None, split: str, commit: str) -> list[dict[str, Any]]:
    """The rows of a dataset's split (``train[-256:]`` works) at a commit."""
    import datasets

    with _reachable("dataset", name):
        return list(datasets.load_dataset(name, subset, split=split, revision=commit))


def fetch_model(name: str, commit: str) -> str:
    """Download a model into the hub's cache, or find it there; returns its folder."""
    from huggingface_hub import snapshot_download

    with _reachable("model", name):
        return snapshot_download(name, revision=commit, allow_patterns=MODEL_FILES)


def _commit(info: Any, name: str) -> str:
    if not info.sha:
        raise UserError(f"the hub names no commit of {name!r}")
    return info.sha


@contextlib.contextmanager
def _reachable(kind: str, name: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the client raises a dozen kinds, from httpx to its own
        first_line = str(error).strip().split("\n")[0]
        raise UserError(
            f"{kind} {name!r} cannot be had from the hub: {type(error).__name__}: {first_line} "
            "(this needs network, HF_HUB_OFFLINE unset, and for a gated model a token that "
            "was granted access)"
        ) from error
