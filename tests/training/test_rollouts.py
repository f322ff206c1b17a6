"""train.rollouts: what it means to TRL, and the log-prob gap it is judged by."""

from types import SimpleNamespace

import pytest
import torch
from support.small import small_config

from gxpo.config import complete_config, get_cell
from gxpo.host import UserError, extras
from gxpo.training.rollouts import logprob_gap
from gxpo.training.settings import grpo_config


def arguments(tmp_path, monkeypatch, **settings):
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    config = small_config(tmp_path)
    if settings:
        config["train"]["rollouts"] = settings
    return grpo_config(get_cell(complete_config(config), "tiny", "grpo", 0), tmp_path, [2, 7])


def test_transformers_by_default(tmp_path, monkeypatch):
    assert arguments(tmp_path, monkeypatch).use_vllm is False


def test_vllm_defaults(tmp_path, monkeypatch):
    args = arguments(tmp_path, monkeypatch, backend="vllm")
    assert (args.use_vllm, args.vllm_mode, args.vllm_enable_sleep_mode) == (True, "colocate", False)
    assert args.generation_kwargs == {"stop_token_ids": [2, 7]}
    assert args.vllm_importance_sampling_correction is True
    assert args.vllm_gpu_memory_utilization == 0.3
    assert args.vllm_server_host == "127.0.0.1"  # TRL's own default is every interface


def test_vllm_settings_reach_trl(tmp_path, monkeypatch):
    colocate = {"sleep": True, "memory": 0.5, "importance_correction": False}
    args = arguments(tmp_path, monkeypatch, backend="vllm", **colocate)
    assert args.vllm_enable_sleep_mode is True
    assert args.vllm_gpu_memory_utilization == 0.5
    assert args.vllm_importance_sampling_correction is False
    server = {"mode": "server", "server_host": "10.0.0.2", "server_port": 9000}
    args = arguments(tmp_path, monkeypatch, backend="vllm", **server)
    assert args.vllm_mode == "server"
    assert (args.vllm_server_host, args.vllm_server_port) == ("10.0.0.2", 9000)


@pytest.mark.parametrize("wrong", [{"mode": "colocate"}, {"backend": "vllm", "memory": 2}])
def test_wrong_settings_are_refused(tmp_path, monkeypatch, wrong):
    with pytest.raises(UserError, match="rollouts"):
        arguments(tmp_path, monkeypatch, **wrong)


def test_without_vllm_the_extra_is_named(tmp_path, monkeypatch):
    config = small_config(tmp_path)
    config["train"]["rollouts"] = {"backend": "vllm"}
    cell = get_cell(complete_config(config), "tiny", "grpo", 0)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[vllm\]'"):
        grpo_config(cell, tmp_path, [])


def test_the_gap_counts_tokens_of_completions_alone():
    """One token is padding, one has no log-prob by vLLM; the others differ by 0.5, 0 and 0.25."""
    batches = [
        {
            "old_per_token_logps": torch.tensor([[-1.0, -2.0, -9.0]]),
            "sampling_per_token_logps": torch.tensor([[-1.5, -2.0, -1.0]]),
            "completion_mask": torch.tensor([[1, 1, 0]]),
        },
        {
            "old_per_token_logps": torch.tensor([[-1.0, -1.0]]),
            "sampling_per_token_logps": torch.tensor([[-0.75, float("nan")]]),
            "completion_mask": torch.tensor([[1, 1]]),
        },
    ]
    alone = SimpleNamespace(reduce=lambda x, reduction: x, gather=lambda x: x.unsqueeze(0))
    gap = logprob_gap(batches, alone)
    assert gap.maximum == 0.5
    assert gap.mean == pytest.approx(0.75 / 4)
