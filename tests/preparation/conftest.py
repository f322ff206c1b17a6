"""A fake of the hub."""

from types import SimpleNamespace

import datasets
import huggingface_hub
import pytest

GSM8K = [
    {"question": f"{n} and {n}?", "answer": f"That is {2 * n}.\n#### {2 * n},000"}
    for n in range(10)
]

ROWS = {
    ("openai/gsm8k", "main", "train[:-256]"): [
        *GSM8K[:6],
        {"question": "What is $x+y$?", "answer": "so #### 36"},  # amc23's, in another dress
        {"question": "no answer", "answer": "none"},
    ],
    ("openai/gsm8k", "main", "train[-256:]"): GSM8K[6:8],
    ("math-ai/amc23", None, "test"): [
        {"id": 7, "question": "What  is \\(x + y\\)?", "answer": 36.0, "url": "u"},
        {"id": 8, "question": "Half of it?", "answer": "0.5", "url": "u"},
    ],
}


@pytest.fixture
def fake_hub(workdir, monkeypatch):
    """The clients of the hub; ``commit`` is what main stands at, ``asked`` what was downloaded."""
    state = SimpleNamespace(commit="a" * 40, resolved=[], asked=[])

    class Api:
        def dataset_info(self, name):
            state.resolved.append(name)
            return SimpleNamespace(sha=state.commit)

        model_info = dataset_info

    def load_dataset(name, subset, *, split, revision):
        state.asked.append((name, revision))
        return ROWS[name, subset, split]

    def snapshot_download(name, *, revision, allow_patterns):
        state.asked.append((name, revision))
        return f"/cache/{name}/{revision}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return state
