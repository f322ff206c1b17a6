"""Sampled pass@1 of every checkpoint of a cell, through lm-eval."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lm_eval.evaluator import evaluate as lm_evaluate
from lm_eval.tasks import TaskManager
from transformers import PreTrainedModel

from gxpo.atomic import write_atomically
from gxpo.config import Cell, due_labels, evaluation_sets
from gxpo.errors import CellError
from gxpo.finished import Part, part_identity, read_part, write_part
from gxpo.grading import is_correct
from gxpo.grading.limits import start_early
from gxpo.metrics import finite_or_none
from gxpo.models import (
    PromptStyle,
    load_adapted_model,
    load_model,
    load_tokenizer,
    stop_tokens,
)
from gxpo.overlap import refuse_overlap
from gxpo.problems import content_hash, load_problems
from gxpo.progress import progress_bar
from gxpo.runs import (
    EVALUATION,
    FAILURE,
    PROBLEM_SCORES,
    SAMPLES,
    SCORES,
    STATE,
    checkpoint_folder,
    evaluation_settings,
    trained_run,
    write_json,
)
from gxpo.sampler.base import Sampler
from gxpo.sampler.hf import TransformersSampler
from gxpo.sampler.vllm import VLLMSampler

TASKS = Path(__file__).parent / "tasks"


def evaluate(cell: Cell) -> None:
    """Evaluate a trained cell's checkpoints on every benchmark and on the selection split; write
    ``scores.csv``, ``problems.parquet`` and ``samples.jsonl.gz``. Benchmarks with ``at: last`` are
    left for the last checkpoint and the one that the selection split then chooses. What a killed
    evaluation has finished is kept.

    Raises UserError where the cell is not trained, or selects by problems that it reports, and
    CellError where it was trained on them.
    """
    folder = cell.folder
    (folder / FAILURE).unlink(missing_ok=True)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    run = trained_run(cell)
    refuse_overlap(cell, run)
    steps = run["checkpoints"]
    sets = evaluation_sets(cell.evaluate)
    due = {step: due_labels(sets, final=step == steps[-1]) for step in steps}
    parts = _finish(cell, due)
    chosen = {_chosen(parts, steps): due_labels(sets, final=True)}
    if any((step, label) not in parts for step, labels in chosen.items() for label in labels):
        parts |= _finish(cell, chosen)
    _write_results(cell, [parts[step, k] for step in steps for k in sets if (step, k) in parts])


def _finish(cell: Cell, due: dict[int, list[str]]) -> dict[tuple[int, str], Part]:
    """The parts of the evaluation that are due at each step: those that stand already are read,
    the others are drawn and written."""
    identities = _identities(cell, due)
    parts: dict[tuple[int, str], Part] = {}
    for (step, label), identity in identities.items():
        part = read_part(cell, step, label, identity)
        if part is not None:
            parts[step, label] = part
    name = f"evaluate {cell.model} {cell.label} seed{cell.seed}"
    bar = progress_bar(name, len(identities), initial=len(parts))
    tasks = _Tasks(cell)
    for step, labels in due.items():
        missing = [label for label in labels if (step, label) not in parts]
        for label, part in _evaluate(cell, step, missing, tasks) if missing else ():
            part["identity"] = identities[step, label]
            write_part(cell, step, label, part)
            parts[step, label] = part
            reached = f"step {step}, {label}: pass@1 {part['score']['pass_at_1']:.3f}"
            bar.set_postfix_str(reached, refresh=False)
            bar.update()
    bar.close()
    return parts


def _chosen(parts: dict[tuple[int, str], Part], steps: list[int]) -> int:
    """The trained checkpoint with the highest pass@1 on the selection split, the earliest of
    equals."""
    return max(
        (step for step in steps if step or len(steps) == 1),
        key=lambda step: (parts[step, "selection"]["score"]["pass_at_1"], -step),
    )


def sampling_seed(cell_seed: int, step: int, label: str) -> int:
    """One seed per (training seed, checkpoint, benchmark): a repeat draws the same samples, two
    methods are evaluated with the same random numbers, and what selects a checkpoint has other
    samples than what is reported of it."""
    digest = hashlib.sha256(f"{cell_seed}/{step}/{label}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def _identities(cell: Cell, due: dict[int, list[str]]) -> dict[tuple[int, str], str]:
    """Of the parts that are due at each step."""
    sets = evaluation_sets(cell.evaluate)
    settings = {
        label: [
            problems["samples"],
            content_hash(load_problems(problems["problems"], problems.get("limit"))),
            PromptStyle.of(cell.model_spec, problems).template,
        ]
        for label, problems in sets.items()
    }
    return {
        (step, label): part_identity(
            cell,
            checkpoint_folder(cell.folder, step),
            [sampling_seed(cell.seed, step, label), *settings[label]],
        )
        for step, labels in due.items()
        for label in labels
    }


class _Tasks:
    """The lm-eval task of every problem set: the YAML with the set's numbers put in."""

    def __init__(self, cell: Cell):
        self._cell = cell
        self._sets = evaluation_sets(cell.evaluate)
        self._manager = TaskManager(include_path=str(TASKS), include_defaults=False)

    @functools.cache  # noqa: B019  (one object, as long as the process)
    def __getitem__(self, label: str) -> Any:
        problems = self._sets[label]
        overrides = {
            "task": "pass_at_1",
            "dataset_kwargs": {
                "source": problems["problems"],
                "limit": problems.get("limit"),
                "template": PromptStyle.of(self._cell.model_spec, problems).template,
            },
            "repeats": problems["samples"],
        }
        # only a group's members are looked up by name and then overridden
        group = self._manager.load([{"group": "cell", "task": [overrides]}])
        (task,) = group["tasks"].values()
        limit = {"max_gen_toks": self._cell.evaluate["max_completion_length"]}
        task.set_config(key="generation_kwargs", value=limit, update=True)
        return task


def _evaluate(
    cell: Cell, step: int, labels: list[str], tasks: _Tasks
) -> Iterator[tuple[str, Part]]:
    """The parts of one checkpoint, each as it ends. Its seconds outside generation hold all else:
    the model's loading (in the first part), prompts, grading, lm-eval itself."""
    mark = time.perf_counter()
    start_early()
    chat = cell.model_spec["chat"]
    with _sampler(cell, step) as sampler:
        for label in labels:
            sampler.start(sampling_seed(cell.seed, step, label))
            task = tasks[label]
            # simple_evaluate would read thousands of YAML files and ask pip and git about the
            # machine at every call; all it adds otherwise is a seed, and a sampler has its own.
            results = lm_evaluate(
                sampler,
                {"tasks": {label: task}, "groups": {}, "group_map": {}},
                apply_chat_template=chat,
                # lm-eval would put it before prompts that go through no template, too
                system_instruction=cell.model_spec.get("system") if chat else None,
            )
            part = _part(step, label, task.config.repeats, results, sampler)
            now = time.perf_counter()
            part["score"]["other_seconds"] = now - mark - part["score"]["generation_seconds"]
            mark = now
            yield label, part


@contextlib.contextmanager
def _sampler(cell: Cell, step: int) -> Iterator[Sampler]:
    """The configured backend with a checkpoint's weights."""
    spec, checkpoint = cell.model_spec, checkpoint_folder(cell.folder, step)
    if step and not checkpoint.is_dir():
        raise CellError(f"checkpoint {checkpoint} is missing: delete {cell.folder} and train again")
    tokenizer = load_tokenizer(cell.model_path, spec.get("revision"))
    stop = stop_tokens(cell.model_path, spec.get("revision"), tokenizer)
    with contextlib.ExitStack() as stack:
        sampler: Sampler
        if cell.evaluate["backend"] == "hf":
            device = "cuda" if torch.cuda.is_available() else "cpu"
            model = _policy(cell, step).to(device)
            size = cell.evaluate["batch_size"]
            sampler = TransformersSampler(model, tokenizer, spec["chat"], stop, size)
        else:
            source: dict[str, Any] = {"model": cell.model_path, "revision": spec.get("revision")}
            if step and "lora" not in spec:
                source = {"model": str(checkpoint)}
            elif step and cell.evaluate["lora"] == "adapter":
                source["adapter"] = (checkpoint, spec["lora"]["r"])
            elif step:
                merged = stack.enter_context(tempfile.TemporaryDirectory(dir=cell.folder / STATE))
                _policy(cell, step).save_pretrained(merged)
                source = {"model": merged}
            sampler = VLLMSampler(
                tokenizer=tokenizer, chat=spec["chat"], stop=stop, dtype=spec["dtype"], **source
            )
        stack.callback(sampler.close)
        yield sampler


def _policy(cell: Cell, step: int) -> PreTrainedModel:
    """A checkpoint's model, loaded by transformers."""
    spec, checkpoint = cell.model_spec, checkpoint_folder(cell.folder, step)
    if step and "lora" not in spec:
        return load_model(str(checkpoint), spec["dtype"])
    model = load_model(cell.model_path, spec["dtype"], spec.get("revision"))
    if not step:
        return model
    return load_adapted_model(model, checkpoint, merged=cell.evaluate["lora"] == "merged")


def _part(step: int, label: str, samples: int, results: Any, sampler: Sampler) -> Part:
    """The score of one (checkpoint, benchmark), and a row for every problem and sample."""
    means, problems = results["results"][label], results["samples"][label]
    figures = sampler.figures
    score = {
        "step": step,
        "benchmark": label,
        "problems": len(problems),
        "samples": samples,
        "pass_at_1": means["pass_at_1,samples"],
        "pass_at_1_se": _number(means["pass_at_1_stderr,samples"]),
        "pass_at_n": means["pass_at_n,samples"],
        "pass_at_n_se": _number(means["pass_at_n_stderr,samples"]),
        "tokens_per_second": figures.tokens / figures.seconds,
        "prompt_padding": _share(figures.prompt_padding, figures.prompt_positions),
        "decode_padding": _share(figures.decode_padding, figures.decode_positions),
        "generation_seconds": figures.seconds,
    }
    rows = [
        {
            "step": step,
            "benchmark": label,
            "problem": problem["doc"]["id"],
            "sample": i,
            "correct": is_correct(completion, problem["doc"]["answer"]),
            "completion": completion,
        }
        for problem in problems
        for i, completion in enumerate(problem["filtered_resps"][0])
    ]
    return {"score": score, "rows": rows}


def _write_results(cell: Cell, parts: list[Part]) -> None:
    """``scores.csv`` last: it says that the cell is finished."""
    folder = cell.folder
    (folder / SCORES).unlink(missing_ok=True)  # of other settings, perhaps
    write_json(folder / EVALUATION, evaluation_settings(cell))
    write_atomically(folder / PROBLEM_SCORES, problem_table([r for p in parts for r in p["rows"]]))
    lines = (json.dumps(row) + "\n" for part in parts for row in part["rows"])
    write_atomically(folder / SAMPLES, gzip.compress("".join(lines).encode(), mtime=0))
    table = pd.DataFrame([part["score"] for part in parts])
    write_atomically(folder / SCORES, table.to_csv(index=False))


def problem_table(samples: list[dict[str, Any]]) -> bytes:
    """Parquet: step, benchmark, problem, correct (of its samples), samples; in small row groups, so
    that one checkpoint is read without the others."""
    keys = ["step", "benchmark", "problem"]
    correct = pd.DataFrame(samples)[[*keys, "correct"]].groupby(keys, sort=False)["correct"]
    counts = correct.agg(correct="sum", samples="size").reset_index().sort_values("step")
    return counts.to_parquet(index=False, row_group_size=4096)


def _number(value: Any) -> float | None:
    """A standard error, or None where lm-eval has none (a single problem)."""
    return finite_or_none(value) if isinstance(value, float) else None


def _share(padding: int, positions: int) -> float | None:
    """None where nothing was counted: vLLM pads nothing, and says nothing."""
    return padding / positions if positions else None
