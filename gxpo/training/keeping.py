"""Keeps completions of every step, to be looked at: ``rollouts.jsonl.gz``.

Between two steps, when the clock stands still; nothing is computed on the device, no random number
is drawn. TRL has gathered texts and rewards of all processes already.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainerCallback

from gxpo.cells import ROLLOUTS, Cell, append_rollouts, is_kept, rollout_row
from gxpo.training.rewards import completion_text
from gxpo.training.trainer import MethodTrainer


class CompletionKeeper(TrainerCallback):
    """Appends the first prompts of each step and what the policy wrote, in the first process."""

    def __init__(self, state: Path, cell: Cell):
        self._path = state / ROLLOUTS
        self._train = cell.train
        self.trainer: MethodTrainer

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "reward" not in logs or not is_kept(state.global_step, self._train):
            return
        rows = first_rows(self.trainer, state.global_step, self._train["keep_completions"])
        if state.is_world_process_zero:
            append_rollouts(self._path, rows)


def first_rows(trainer: MethodTrainer, step: int, prompts: int) -> list[dict[str, Any]]:
    """The rows of the latest batch's first so many prompts, the same on every process; to be called
    on all of them."""
    group = trainer.num_generations
    facts = gather_object(list(islice(_facts(trainer), _local(trainer, prompts * group))))
    logs = trainer._logs  # TRL's, of all processes: in the order of the batch
    weights = trainer.reward_weights.tolist()
    texts, asked = list(logs["completion"]), list(logs["prompt"])
    by_function = {name: list(logs["rewards"][name]) for name in trainer.reward_func_names}
    rows = []
    for first in range(0, len(facts) // group * group, group):
        completions = []
        for i in range(first, first + group):
            rewards = {name: values[i] for name, values in by_function.items()}
            paid = sum(w * r for w, r in zip(weights, rewards.values(), strict=True))
            text = completion_text(texts[i])
            own = {key: facts[i][key] for key in ("tokens", "ended")}
            completions.append({"text": text, "reward": paid, "rewards": rewards, **own})
        rows.append(rollout_row(step, _text(asked[first]), facts[first]["answer"], completions))
    return rows


def _local(trainer: MethodTrainer, wanted: int) -> int:
    """How many of the first ``wanted`` completions of the batch this process has."""
    accelerator, own = trainer.accelerator, len(trainer.latest_rollouts.inputs)
    return max(0, min(own, wanted - accelerator.process_index * own))


def _facts(trainer: MethodTrainer) -> Iterator[dict[str, Any]]:
    """What TRL's logs lack of this process's completions. Ended: by the rule that the column
    ``truncated`` counts by."""
    inputs, ids, mask = trainer.latest_rollouts
    ends = {*trainer.eos_token_ids, trainer._tokenizer.pad_token_id}
    for i, own in enumerate(inputs):
        tokens = int(mask[i].sum())
        ended = tokens > 0 and int(ids[i, tokens - 1]) in ends
        yield {"answer": own.get("answer"), "tokens": tokens, "ended": ended}


def _text(prompt: Any) -> str:
    """A prompt as people read it: of a single message its content, of several all with roles."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1:
        return str(prompt[0]["content"])
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in prompt)
