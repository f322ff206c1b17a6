"""Make the demo's tiny Qwen2 and Llama policies: from config, trained for seconds on word problems.

Headroom is by construction: the demonstrations are noisy on purpose (see
``gxpo.problems.synthetic.noisy_solution``), so the policy knows the right answer more often than it
samples it. What RL gains on it says how rules compare on this toy, nothing about real models.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    get_scheduler,
)

from gxpo.host import progress_bar
from gxpo.policy.made import SEED, STEPS
from gxpo.policy.tiny import CONTEXT, END, PAD, UNKNOWN, word_tokenizer
from gxpo.problems import synthetic

CONFIGS = {"qwen2": Qwen2Config, "llama": LlamaConfig}
WARMUP_STEPS, BATCH_SIZE, LEARNING_RATE = 50, 64, 4e-3


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Words, single digits and signs; decoding joins the tokens without spaces."""
    return PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(),
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def tiny_model(
    architecture: str, tokenizer: PreTrainedTokenizerFast, hidden_size: int = 96, layers: int = 1
) -> PreTrainedModel:
    """A randomly initialised policy of a real architecture (about 0.1 M parameters by default)."""
    config = CONFIGS[architecture](
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return AutoModelForCausalLM.from_config(config)


def warmstart(architecture: str, out: Path, steps: int = STEPS, seed: int = SEED) -> None:
    """Train a tiny policy on noisy demonstrations and save it, with its tokenizer, to ``out``.

    seed: of its first weights and of the demonstrations.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = tiny_tokenizer()
    model = tiny_model(architecture, tokenizer)
    model.train()
    # fused: its square roots are the processor's own on every processor (gxpo.host.square_root)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    schedule = get_scheduler(
        "cosine_with_min_lr",
        optimizer,
        num_warmup_steps=min(WARMUP_STEPS, steps // 2),
        num_training_steps=steps,
        scheduler_specific_kwargs={"min_lr_rate": 0.1},
    )
    progress = progress_bar(f"warm start {architecture}", steps)
    for _ in range(steps):
        loss = model(**_demonstrations(tokenizer, rng)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        progress.set_postfix_str(f"loss {loss.item():.3f}", refresh=False)
        progress.update()
    progress.close()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _demonstrations(
    tokenizer: PreTrainedTokenizerFast, rng: random.Random
) -> dict[str, torch.Tensor]:
    """One batch, tensors of shape (BATCH_SIZE, longest): the loss is on the solutions alone."""
    problems = [synthetic.draw("train", rng) for _ in range(BATCH_SIZE)]
    prompts = [tokenizer(p.text).input_ids for p in problems]
    solutions = [
        [*tokenizer(synthetic.noisy_solution(p, rng)).input_ids, tokenizer.eos_token_id]
        for p in problems
    ]
    sequences = [p + s for p, s in zip(prompts, solutions, strict=True)]
    batch = tokenizer.pad({"input_ids": sequences}, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    for row, s in zip(labels, solutions, strict=True):
        row[: -len(s)] = -100
    return {**batch, "labels": labels}
