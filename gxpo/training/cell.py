"""Train one cell of the comparison: model x method x seed."""

from __future__ import annotations

import contextlib
import hashlib

import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from transformers import PreTrainedTokenizerBase, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import GRPOConfig

from gxpo.catalog import load_method, method_source, reward_source
from gxpo.cells import (
    FAILURE,
    METRICS,
    RUN,
    STATE,
    Cell,
    checkpoint_steps,
    read_rows,
    write_json,
)
from gxpo.host import CellError, Interrupted, write_atomically
from gxpo.policy import sample_plainly, sampling_record, stop_tokens
from gxpo.policy.loading import load_model, load_tokenizer, lora_config
from gxpo.preparation import training_problems
from gxpo.problems import Problem
from gxpo.tracking.live import live_tracking
from gxpo.training.callbacks import MetricsWriter, PruneCheckpoints
from gxpo.training.interrupt import StopAtStepEnd, StopRequest
from gxpo.training.rewards import reward_functions
from gxpo.training.settings import grpo_config, prompt_dataset, refuse_too_long
from gxpo.training.state import identity_of, prepare_state, run_record
from gxpo.training.trainer import MethodTrainer


def train(cell: Cell, seconds: float | None = None) -> None:
    """Train a cell from where it stands, and write ``metrics.jsonl`` and ``run.json``; for
    ``seconds`` at most, if given, and the step that is then begun.

    Starting again after a kill resumes from the newest checkpoint; a state that belongs to other
    settings, another method or reward file or another model is discarded.

    Raises CellError or FloatingPointError where the run must not be reported, Interrupted where a
    signal (gxpo.training.interrupt) came or the time is up and the rest is still to be trained.
    """
    folder, state = cell.folder, cell.folder / STATE
    (folder / FAILURE).unlink(missing_ok=True)
    problems, origin = training_problems(cell)
    origin["method_sha256"] = hashlib.sha256(method_source(cell.method).encode()).hexdigest()
    if own := cell.setting("train", "reward"):
        origin["reward_sha256"] = hashlib.sha256(reward_source(own).encode()).hexdigest()
    identity = identity_of(cell, origin["problems_sha256"])
    scheduled = checkpoint_steps(cell.train["steps"], cell.evaluate["every"])
    processes = PartialState(cpu=not torch.cuda.is_available())
    spec = cell.model_spec
    tokenizer = load_tokenizer(cell.model_path, spec.get("revision"))
    stops = stop_tokens(cell.model_path, spec.get("revision"), tokenizer, spec["chat"])
    arguments = grpo_config(cell, state, list(stops), processes.num_processes)
    with processes.main_process_first():
        checkpoint = prepare_state(state, identity, scheduled)
    metrics = state / METRICS

    writes = processes.is_main_process
    live = live_tracking(cell, identity, metrics) if writes else contextlib.nullcontext()
    with StopRequest(seconds) as request, live:
        writer, stop = MetricsWriter(metrics, cell), StopAtStepEnd(request)
        callbacks = [writer, stop, PruneCheckpoints(state, scheduled)]
        trainer = writer.trainer = _trainer(cell, problems, tokenizer, stops, arguments, callbacks)
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
        origin["sampling"] = sampling_record(cell.train["temperature"], stops, tokenizer)
        write_json(folder / RUN, run_record(cell, identity, trainer, rows) | origin)


def _trainer(
    cell: Cell,
    problems: list[Problem],
    tokenizer: PreTrainedTokenizerBase,
    stops: dict[int, list[str]],
    arguments: GRPOConfig,
    callbacks: list[TrainerCallback],
) -> MethodTrainer:
    """The cell's policy and method in TRL's trainer, with the random streams of its seed."""
    model = load_model(cell.model_path, revision=cell.model_spec.get("revision"))
    sample_plainly(model, tokenizer, stops)
    refuse_too_long(cell, problems, tokenizer, model.config)
    set_seed(cell.seed)  # fresh LoRA adapters are random: the same for every method
    trainer = MethodTrainer(
        method=load_method(cell.method, **cell.hyperparameters),
        model=model,
        processing_class=tokenizer,
        reward_funcs=reward_functions(cell.setting("train", "reward"), cell.train["format_reward"]),
        args=arguments,
        train_dataset=prompt_dataset(cell, problems),
        peft_config=lora_config(cell.model_spec),
        callbacks=callbacks,
    )
    if arguments.use_vllm:  # its engine, built in there, has set the process's seed
        set_seed(cell.seed, device_specific=True)
    trainer.remove_callback(PrinterCallback)
    return trainer
