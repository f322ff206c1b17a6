"""Sampling with vLLM (the extra ``vllm``): an engine of its own for every checkpoint.

The engine gets and returns token ids, so that both backends share one tokenizer; each request
carries the seed of its random stream.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from gxpo.evaluation.sampler.base import PLAIN, Draw, Sampler, Sampling
from gxpo.host import UserError
from gxpo.host.extras import require

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # those that vLLM has kernels for


class VLLMSampler(Sampler):
    """Samples from the model in a folder or on the hub, with a LoRA adapter where one is given.

    adapter: (checkpoint folder, rank).
    Raises UserError where vLLM is not installed.
    """

    def __init__(
        self,
        model: str,
        tokenizer: PreTrainedTokenizerBase,
        chat: bool,
        stop: set[int],
        dtype: str,
        revision: str | None = None,
        adapter: tuple[Path, int] | None = None,
        sampling: Sampling = PLAIN,
    ):
        require("vllm")
        from vllm import LLM
        from vllm.lora.request import LoRARequest

        lora: dict[str, Any] = {}
        self._adapter = None
        if adapter is not None:
            folder, rank = adapter
            if rank > LORA_RANKS[-1]:
                raise UserError(
                    f"vLLM takes adapters of rank {LORA_RANKS[-1]} at most, not {rank}: "
                    "set evaluate.lora to merged"
                )
            largest = next(r for r in LORA_RANKS if r >= rank)
            lora = {"enable_lora": True, "max_lora_rank": largest}
            self._adapter = LoRARequest("checkpoint", 1, str(folder))
        self._engine = LLM(
            model=model,
            revision=revision,
            dtype=dtype,
            load_format="safetensors",  # auto would fall back to pickles
            skip_tokenizer_init=True,
            seed=0,
            **lora,
        )
        super().__init__(tokenizer, chat, stop, sampling, self._engine.model_config.max_model_len)

    def _sample(self, draws: list[Draw], limit: int) -> list[list[int]]:
        from vllm import SamplingParams

        parameters = [
            SamplingParams(
                temperature=self._sampling.temperature,
                top_p=self._sampling.top_p,
                top_k=0,
                repetition_penalty=1.0,
                max_tokens=limit,
                seed=draw.seed,
                stop_token_ids=sorted(self._stop),
                detokenize=False,
            )
            for draw in draws
        ]
        outputs = self._engine.generate(
            [{"prompt_token_ids": draw.prompt} for draw in draws],
            parameters,
            use_tqdm=False,
            lora_request=self._adapter,
        )
        return [list(output.outputs[0].token_ids) for output in outputs]

    def close(self) -> None:
        """Stop the engine and give its memory back: the next checkpoint's needs the room."""
        from vllm.distributed import cleanup_dist_env_and_memory

        self._engine.llm_engine.engine_core.shutdown()
        del self._engine
        gc.collect()
        cleanup_dist_env_and_memory()
