"""Train one cell of the comparison: model x method x seed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from datasets import Dataset
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import GRPOConfig

from gxpo import checkpoints, provenance
from gxpo.atomic import write_atomically
from gxpo.config import Cell, evaluation_sets, is_prepared
from gxpo.errors import CellError, Interrupted, UserError
from gxpo.interrupt import StopAtStepEnd, StopRequest
from gxpo.metrics import TRL_NAMES, append_row, keep_rows_until, read_rows
from gxpo.models import (
    PromptStyle,
    load_model,
    load_tokenizer,
    longest_prompt,
    lora_config,
    weight_files,
)
from gxpo.overlap import training_problems
from gxpo.problem import Problem
from gxpo.problems import load_problems, prompt_schedule
from gxpo.progress import progress_bar
from gxpo.registry import load_method, method_source
from gxpo.rewards import correct, format_rewards
from gxpo.rollouts import rollout_arguments
from gxpo.runs import (
    FAILURE,
    METRICS,
    PROBLEM_SCORES,
    RUN,
    SAMPLES,
    SCORES,
    STATE,
    checkpoint_steps,
    write_json,
)
from gxpo.tracking.live import live_tracking
from gxpo.trainer import MethodTrainer


def train(cell: Cell, seconds: float | None = None) -> None:
    """Train a cell from where it stands, and write ``metrics.jsonl`` and ``run.json``; for
    ``seconds`` at most, if given, and the step that is then begun.

    Starting again after a kill resumes from the newest checkpoint; a state that belongs to other
    settings, another method file or another model is discarded.

    Raises CellError or FloatingPointError where the run must not be reported, Interrupted where a
    signal (gxpo.interrupt) came or the time is up and the rest is still to be trained.
    """
    folder, state = cell.folder, cell.folder / STATE
    (folder / FAILURE).unlink(missing_ok=True)
    problems, origin = training_problems(cell)
    origin["method_sha256"] = hashlib.sha256(method_source(cell.method).encode()).hexdigest()
    identity = _identity(cell, origin["problems_sha256"])
    scheduled = checkpoint_steps(cell.train["steps"], cell.evaluate["every"])
    processes = PartialState(cpu=not torch.cuda.is_available())
    arguments = grpo_config(cell, state, processes.num_processes)
    with processes.main_process_first():
        checkpoint = _prepare_state(state, identity, scheduled)
    metrics = state / METRICS

    writes = processes.is_main_process
    live = live_tracking(cell, identity, metrics) if writes else contextlib.nullcontext()
    with StopRequest(seconds) as request, live:
        writer, stop = _MetricsWriter(metrics, cell), StopAtStepEnd(request)
        callbacks = [writer, stop, _PruneCheckpoints(state, scheduled)]
        trainer = writer.trainer = _trainer(cell, problems, arguments, callbacks)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stop.stopped_after is not None:
        raise Interrupted(
            f"stopped by {request.received or 'a signal to another process'} after step "
            f"{stop.stopped_after} of {cell.train['steps']}, which is checkpointed"
        )

    processes.wait_for_everyone()
    rows = read_rows(metrics)
    if all(row["zero_advantage"] == 1 for row in rows):
        raise CellError(
            f"no learning signal: all advantages were zero in each of the {len(rows)} steps "
            "(every group of completions was all right or all wrong)"
        )
    if processes.is_main_process:
        write_atomically(folder / METRICS, metrics.read_text(encoding="utf-8"))
        write_json(folder / RUN, _run_record(cell, identity, trainer, rows) | origin)


def _trainer(
    cell: Cell, problems: list[Problem], arguments: GRPOConfig, callbacks: list[TrainerCallback]
) -> MethodTrainer:
    """The cell's policy and method in TRL's trainer, with the random streams of its seed."""
    model = load_model(cell.model_path, revision=cell.model_spec.get("revision"))
    tokenizer = load_tokenizer(cell.model_path, cell.model_spec.get("revision"))
    _refuse_too_long(cell, problems, tokenizer, model.config)
    set_seed(cell.seed)  # fresh LoRA adapters are random: the same for every method
    trainer = MethodTrainer(
        method=load_method(cell.method, **cell.hyperparameters),
        model=model,
        processing_class=tokenizer,
        reward_funcs=[correct, *format_rewards(cell.train["format_reward"])],
        args=arguments,
        train_dataset=prompt_dataset(cell, problems),
        peft_config=lora_config(cell.model_spec),
        callbacks=callbacks,
    )
    if arguments.use_vllm:  # its engine, built in there, has set the process's seed
        set_seed(cell.seed, device_specific=True)
    trainer.remove_callback(PrinterCallback)
    return trainer


def grpo_config(cell: Cell, output: Path, processes: int = 1) -> GRPOConfig:
    """TRL's configuration of a cell; what TRL would choose differently by default is explicit.

    Raises UserError where the completions of a step cannot be split over the processes.
    """
    t = cell.train
    accumulation, rest = divmod(t["completions_per_step"], t["micro_batch_size"] * processes)
    if rest:
        raise UserError(
            f"train.completions_per_step = {t['completions_per_step']} is not a multiple of "
            f"train.micro_batch_size = {t['micro_batch_size']} times {processes} processes"
        )
    return GRPOConfig(
        output_dir=str(output),
        seed=cell.seed,
        max_steps=t["steps"],
        per_device_train_batch_size=t["micro_batch_size"],
        gradient_accumulation_steps=accumulation,
        num_generations=t["num_generations"],
        max_completion_length=t["max_completion_length"],
        temperature=t["temperature"],
        top_p=1.0,
        top_k=0,
        repetition_penalty=1.0,
        learning_rate=t["learning_rate"],
        lr_scheduler_type="constant",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=t["max_grad_norm"],
        loss_type="grpo",
        scale_rewards="group",
        beta=t["beta"],
        reward_weights=[1.0, t["format_reward"]] if t["format_reward"] else None,
        epsilon=t["epsilon"],
        **rollout_arguments(t["rollouts"]),
        bf16=cell.model_spec["dtype"] == "bfloat16",
        gradient_checkpointing=t["gradient_checkpointing"],
        shuffle_dataset=False,  # the order is ours: a function of the seed alone
        use_cpu=not torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
        logging_steps=1,
        logging_nan_inf_filter=False,  # the default hides a NaN loss
        save_strategy="steps",
        save_steps=cell.evaluate["every"],
    )


def prompt_dataset(cell: Cell, problems: list[Any]) -> Dataset:
    """The prompts of the whole run, in order: one epoch is exactly the run."""
    style = PromptStyle.of(cell.model_spec, cell.train)
    prompts_per_step = cell.train["completions_per_step"] // cell.train["num_generations"]
    schedule = prompt_schedule(len(problems), cell.train["steps"] * prompts_per_step, cell.seed)
    return Dataset.from_list(
        [
            {"prompt": style.prompt(problems[i].problem), "answer": problems[i].answer}
            for i in schedule
        ]
    )


def _refuse_too_long(cell: Cell, problems: list[Problem], tokenizer: Any, model: Any) -> None:
    """Raise UserError where a prompt and its completion exceed the model's context: what is
    evaluated too, or that would end a cell after all its training. model: its configuration."""
    context = model.get_text_config().max_position_embeddings
    sets = {f"evaluate ({k})": spec for k, spec in evaluation_sets(cell.evaluate).items()}
    for name, spec in {"train": cell.train, **sets}.items():
        if name == "train":
            asked, limit = problems, cell.train["max_completion_length"]
        elif is_prepared(spec["problems"]):
            asked = load_problems(spec["problems"], spec.get("limit"))
            limit = cell.evaluate["max_completion_length"]
        else:
            continue
        longest = longest_prompt(tokenizer, PromptStyle.of(cell.model_spec, spec), asked)
        if longest + limit > context:
            raise UserError(
                f"{name}: the longest prompt has {longest} tokens: with max_completion_length = "
                f"{limit} that exceeds the model's context of {context}"
            )


class _MetricsWriter(TrainerCallback):
    """Writes a row a step, moves the progress bar, stops the run where a number is not finite."""

    def __init__(self, path: Path, cell: Cell):
        self._path = path
        self._name = f"train {cell.model} {cell.label} seed{cell.seed}"
        self.trainer: MethodTrainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._bar = progress_bar(
            self._name,
            state.max_steps,
            initial=state.global_step,
            shown=state.is_world_process_zero,
        )

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "reward" not in logs:  # the Trainer's closing summary
            return
        row = self._row(state.global_step, logs)  # on every process: counts are reduced
        if state.is_world_process_zero:
            append_row(self._path, row)
        for name in ("loss", "grad_norm"):
            if not math.isfinite(row[name]):
                raise FloatingPointError(f"{name} is {row[name]} at step {row['step']}")
        self._bar.set_postfix_str(
            f"reward {row['reward']:.3f}, pass@1 {row['pass_at_1']:.3f}", refresh=False
        )
        self._bar.update()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._bar.close()

    def _row(self, step: int, logs: dict[str, Any]) -> dict[str, Any]:
        self.trainer.reduce_counts()
        seconds, gap = self.trainer.clock.seconds, self.trainer.logprob_gap
        return {
            "step": step,
            **{ours: logs.get(trl) for ours, trl in TRL_NAMES.items()},
            "grad_norm": self.trainer.grad_norm,
            "logprob_gap_mean": gap.mean if gap else None,
            "logprob_gap_max": gap.maximum if gap else None,
            **asdict(self.trainer.cost),
            "rollout_tokens": self.trainer.rollout_tokens,
            "rollout_seconds": seconds["rollout"],
            "update_seconds": seconds["train"] - seconds["rollout"],
            "train_seconds": seconds["train"],
            **{f"method/{name}": v for name, v in self.trainer.method_metrics.items()},
        }


class _PruneCheckpoints(TrainerCallback):
    def __init__(self, state: Path, scheduled: list[int]):
        self._state = state
        self._scheduled = scheduled

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            checkpoints.prune(self._state, self._scheduled)


def _prepare_state(state: Path, identity: str, scheduled: list[int]) -> Path | None:
    """Keep the state if it is this run's, else clear it; return the checkpoint to resume from, with
    neither rows nor checkpoints that are newer."""
    mark, metrics = state / "identity", state / METRICS
    if not mark.exists() or mark.read_text() != identity:
        if checkpoints_there := len(list(state.glob("checkpoint-*"))):
            print(
                f"{state.parent}: trained with other settings, weights, problems or another method "
                f"file: its {checkpoints_there} checkpoints are discarded",
                file=sys.stderr,
            )
        # no result stands for a state that is gone
        for result in (RUN, SCORES, PROBLEM_SCORES, SAMPLES):
            (state.parent / result).unlink(missing_ok=True)
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        write_atomically(mark, identity)
    steps = [row["step"] for row in read_rows(metrics)] if metrics.exists() else []
    checkpoint = checkpoints.resume_from(state, steps, scheduled)
    keep_rows_until(metrics, checkpoints.step_of(checkpoint))
    return checkpoint


def _identity(cell: Cell, problems_hash: str) -> str:
    """A hash of all that decides the numbers of a cell, other than code versions and hardware."""
    weights = weight_files(cell.model_path)
    settings = asdict(cell) | {"evaluate": cell.evaluate["every"]}  # what is evaluated changes none
    parts = [settings, problems_hash, weights, method_source(cell.method)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _run_record(
    cell: Cell, identity: str, trainer: MethodTrainer, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "cell": asdict(cell),
        "hyperparameters": trainer.method.hyperparameters,
        "identity": identity,
        "checkpoints": checkpoint_steps(cell.train["steps"], cell.evaluate["every"]),
        "processes": trainer.accelerator.num_processes,
        "trainable_parameters": sum(p.numel() for p in trainer.trainable_parameters),
        "totals": {
            k: v for k, v in rows[-1].items() if k.endswith(("seconds", "tokens", "passes"))
        },
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
        "hardware": provenance.hardware(),
    }
