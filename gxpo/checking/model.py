"""One model of a configuration against its files and the problems that it will be asked."""

from __future__ import annotations

from typing import Any

from gxpo.cells import Cell
from gxpo.checking.light_tokenizer import LightTokenizer, light_tokenizer
from gxpo.checking.lora import refuse_unmatched, unmatched
from gxpo.checking.model_folder import ModelFolder, folder_of
from gxpo.checking.prompts import refuse_prompts, refuse_template
from gxpo.host import UserError
from gxpo.policy import turn_end
from gxpo.policy.tiny import CONTEXT, MODULES, UNKNOWN, word_tokenizer
from gxpo.preparation import kept_problems
from gxpo.problems import Problem, is_prepared


def refuse_model(cell: Cell, trained: bool = False) -> None:
    """Raise UserError where the cell's model cannot be trained or evaluated as its entry says.
    Nothing is said of a hub model that is not here yet. trained: the cell needs no training
    problems any more."""
    spec = cell.model_spec
    folder = folder_of(spec, cell.model_path)
    if folder is None and "architecture" not in spec:
        return
    if folder is not None:
        folder.refuse_damaged()
    if "lora" in spec:
        _refuse_targets(cell, folder)
    light = _made_here() if folder is None else light_tokenizer(folder)
    tokenizer = light or _tokenizer_itself(cell)
    refuse_template(spec, tokenizer, cell.model_path)
    if spec["chat"]:
        turn_end(tokenizer)
    context = CONTEXT if folder is None else _context(cell, folder)
    if context is not None:
        here = not trained and is_prepared(cell.train["problems"])
        problems = list(kept_problems(cell).problems) if here else None
        exact = light is None or folder is None
        _refuse_prompts(cell, problems, tokenizer, context, exact)


def _refuse_prompts(
    cell: Cell, problems: list[Problem] | None, tokenizer: Any, context: int, exact: bool
) -> None:
    """problems: to train on. exact: tokens are those that the model will get."""
    asked = (cell.model_spec, cell.train, cell.evaluate, problems)
    if exact:
        refuse_prompts(*asked, tokenizer, context)
        return
    try:
        refuse_prompts(*asked, tokenizer, context - 16 - context // 50)
    except UserError:  # so close that a few tokens may decide
        refuse_prompts(*asked, _tokenizer_itself(cell), context)


def _refuse_targets(cell: Cell, folder: ModelFolder | None) -> None:
    targets = cell.model_spec["lora"]["targets"]
    if folder is None:
        refuse_unmatched(targets, MODULES)
        return
    # A tensor's module; the output layer may share the embedding's weights, and is in no file then.
    modules = {name.rpartition(".")[0] for name in folder.parameters()} | {"lm_head"}
    if unmatched(targets, modules):  # some architectures rename or join what their files hold
        from gxpo.policy.loading import module_names

        refuse_unmatched(targets, module_names(cell.model_path, cell.model_spec.get("revision")))


def _context(cell: Cell, folder: ModelFolder) -> int | None:
    if folder.context is not None:
        return folder.context
    from gxpo.policy.loading import context_of  # the architecture's default

    return context_of(cell.model_path, cell.model_spec.get("revision"))


def _tokenizer_itself(cell: Cell) -> Any:
    """By transformers: 7 seconds of imports."""
    from gxpo.policy.loading import load_tokenizer

    return load_tokenizer(cell.model_path, cell.model_spec.get("revision"))


def _made_here() -> LightTokenizer:
    return LightTokenizer(word_tokenizer(), named={"unk_token": UNKNOWN})
