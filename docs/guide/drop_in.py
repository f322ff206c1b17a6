"""TRL's GRPO with another update rule: python drop_in.py MODEL RULE (stock, grpo, gxpo, ...)."""

import sys

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

import gxpo

model, rule = sys.argv[1:]
arguments = GRPOConfig(
    output_dir="out", max_steps=4, logging_steps=1, save_strategy="no", report_to="none",
    per_device_train_batch_size=8, num_generations=4, max_completion_length=8, learning_rate=1e-3,
    bf16=False, use_cpu=True,
)  # fmt: skip


def reward(completions: list[str], **_: object) -> list[float]:
    return [len(set(text)) / 8 for text in completions]  # any function of TRL's kind


data = Dataset.from_list([{"prompt": f"Ann has {n} eggs , gets 5 , gives 3 ?"} for n in range(9)])
common = dict(model=model, reward_funcs=reward, args=arguments, train_dataset=data)
if rule == "stock":
    trainer = GRPOTrainer(**common)
else:
    trainer = gxpo.MethodTrainer(method=gxpo.load_method(rule), **common)  # the one new line
trainer.train()
trainer.save_model("trained")
