"""What a trainer of a tiny policy takes, and what it logged."""

from datasets import Dataset
from trl import GRPOConfig

from gxpo.policy.loading import load_model, load_tokenizer
from gxpo.problems import load_problems
from gxpo.training import correct


def arguments(policy, folder, accumulation=1, steps=3, **options):
    problems = load_problems("synthetic/train", 64)
    config = {
        "output_dir": str(folder),
        "seed": 3,
        "max_steps": steps,
        "per_device_train_batch_size": 16 // accumulation,
        "gradient_accumulation_steps": accumulation,
        "num_generations": 4,
        "max_completion_length": 16,
        "learning_rate": 1e-3,
        "loss_type": "grpo",
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
        "save_strategy": "no",
    }
    return {
        "model": load_model(str(policy)),
        "processing_class": load_tokenizer(str(policy)),
        "reward_funcs": [correct],
        "args": GRPOConfig(**{**config, **options}),
        "train_dataset": Dataset.from_list(
            [{"prompt": p.problem, "answer": p.answer} for p in problems]
        ),
    }


def history(trainer):
    keep = ("loss", "grad_norm", "reward", "entropy", "learning_rate")
    return [{k: row.get(k) for k in keep} for row in trainer.state.log_history if "loss" in row]
