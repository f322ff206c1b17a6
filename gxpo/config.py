"""Read, check and complete a run configuration; everything wrong is said before any job starts."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from gxpo.catalog import benchmarks, with_registries
from gxpo.errors import UserError
from gxpo.hub_lock import locked
from gxpo.problems import load_problems, problem_file
from gxpo.registry import load_method
from gxpo.user_files import read_text

HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
# Of a model entry: what the scheduler and `gxpo plan` need, and no number of a run depends on.
NOT_SETTINGS = ("resources", "parameters", "shape")
TRAIN_KEYS = ("learning_rate",)  # of ``train``: may be set per method label, to tune each fairly
SCHEMA = yaml.safe_load((Path(__file__).parent / "config.schema.yaml").read_text())
# JSON Schema takes 20.0 for an integer, and knows neither infinity nor NaN, which YAML does.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: type(value) in (int, float) and math.isfinite(value),
        }
    ),
)


@dataclass(frozen=True)
class Cell:
    """One training run of the comparison: model x method label x seed, with all its settings."""

    name: str
    model: str
    label: str
    seed: int
    model_spec: dict[str, Any]
    method: str
    hyperparameters: dict[str, Any]
    train: dict[str, Any]
    evaluate: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where the cell lives, relative to the working directory."""
        return cell_folder(self.name, self.model, self.label, self.seed)

    @property
    def model_path(self) -> str:
        """The policy to start from: the warm-started folder of a tiny model, else as configured."""
        if "architecture" in self.model_spec:
            return str(Path("results", self.name, "models", self.model))
        return self.model_spec["path"]


def cell_folder(name: str, model: str, label: str, seed: int | str) -> Path:
    return Path("results", name, "runs", model, label, f"seed{seed}")


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice, instead of silently keeping the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise UserError(f"duplicate key {key!r} in the mapping at line {line}")
        return super().construct_mapping(node, deep)


def read_config(path: str | Path) -> dict[str, Any]:
    """A checked, completed configuration from a YAML file. Raises UserError."""
    return complete_config(_read_yaml(Path(path)))


def refuse_duplicate_keys(path: str | Path) -> None:
    """Raise UserError where a YAML file gives a key twice (two methods of one label, say)."""
    _read_yaml(Path(path))


def _read_yaml(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"config file {str(path)!r} does not exist")
    try:
        return yaml.load(read_text(path), Loader=_UniqueKeyLoader)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def complete_config(raw: Any) -> dict[str, Any]:
    """The configuration with its defaults filled in, checked against the schema, the methods'
    hyperparameters and the files on disk. Raises UserError naming the key and what is allowed."""
    errors = _Validator(SCHEMA).iter_errors(raw)
    error = best_match(errors)
    if error is not None:
        raise UserError(f"config: {_explain(error)}")
    config = _with_defaults(with_registries(raw), SCHEMA)
    train, evaluate = config["train"], config["evaluate"]
    train.setdefault("micro_batch_size", train["completions_per_step"])
    evaluate.setdefault("max_completion_length", train["max_completion_length"])
    _check_divides(train, "num_generations")
    _check_divides(train, "micro_batch_size")
    if evaluate["every"] > train["steps"]:
        raise UserError(
            f"config: evaluate.every is {evaluate['every']}, at most train.steps = {train['steps']}"
        )
    for label, spec in config["models"].items():
        gpus, micro = spec.get("resources", {}).get("gpu", 0), train["micro_batch_size"]
        if gpus > 1 and train["completions_per_step"] % (micro * gpus):
            raise UserError(
                f"config: train.micro_batch_size = {micro} times the {gpus} GPUs of models.{label} "
                f"does not divide train.completions_per_step = {train['completions_per_step']}"
            )
        rounded = "lora" in spec and spec["dtype"] == "bfloat16"
        if rounded and evaluate["lora"] == "merged":
            raise UserError(
                f"config: evaluate.lora: merged would round most of what {label}'s adapters have "
                "learned away, whose dtype is bfloat16: set adapter"
            )
    for label, spec in config["methods"].items():
        try:
            load_method(spec["method"], **_hyperparameters(spec))
        except UserError as wrong:
            raise UserError(f"config: methods.{label}: {wrong}") from wrong
    for key, source in problem_sources(config):
        if source["problems"] in benchmarks() and not is_prepared(source["problems"]):
            continue  # preparation is a stage of its own; what needs the problems says so
        try:
            load_problems(source["problems"], source.get("limit"))
        except UserError as wrong:
            raise UserError(f"config: {key}.problems: {wrong}") from wrong
    entry = benchmarks().get(train["problems"])
    if entry is not None and entry.role == "test":
        raise UserError(f"config: train.problems: {entry.name} is a test suite")
    return config


def is_prepared(source: str) -> bool:
    """Whether the problems of a source can be read here and now."""
    file = problem_file(source)
    return file is None or file.is_file()


def cells(config: dict[str, Any]) -> list[Cell]:
    """Every cell of a completed configuration: models x methods x seeds, in the file's order."""
    return [
        get_cell(config, model, label, seed)
        for model in config["models"]
        for label in config["methods"]
        for seed in config["seeds"]
    ]


def get_cell(config: dict[str, Any], model: str, label: str, seed: int) -> Cell:
    """One cell. Raises UserError where the configuration has no such model, label or seed."""
    for key, value in (("models", model), ("methods", label), ("seeds", seed)):
        if value not in config[key]:
            known = ", ".join(map(str, config[key]))
            raise UserError(f"config has no {value!r} in {key}: known are {known}")
    spec = config["methods"][label]
    return Cell(
        name=config["name"],
        model=model,
        label=label,
        seed=seed,
        model_spec=_model_settings(config["models"][model]),
        method=spec["method"],
        hyperparameters=_hyperparameters(spec),
        train={**config["train"], **{key: spec[key] for key in TRAIN_KEYS if key in spec}},
        evaluate=config["evaluate"],
    )


def evaluation_sets(evaluate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Label -> problems spec of everything a checkpoint is evaluated on, ``selection`` included."""
    return {**evaluate["benchmarks"], "selection": evaluate["selection"]}


def due_labels(sets: dict[str, dict[str, Any]], final: bool) -> list[str]:
    """The labels of ``sets`` that a checkpoint is evaluated on. final: it is one that is reported:
    the run's last, or the one that the selection split chooses."""
    return [label for label, spec in sets.items() if final or spec.get("at") != "last"]


def hub_models(config: dict[str, Any]) -> dict[str, str | None]:
    """Hub name -> commit that the configuration asks for, if any, of every model that is neither
    made here nor a folder."""
    return {
        spec["path"]: spec.get("revision")
        for spec in config["models"].values()
        if "path" in spec and not Path(spec["path"]).is_dir() and HUB_NAME.fullmatch(spec["path"])
    }


def _model_settings(spec: dict[str, Any]) -> dict[str, Any]:
    """What a model's numbers depend on, with the locked commit of a hub model."""
    settings = {k: v for k, v in spec.items() if k not in NOT_SETTINGS}
    commit = locked("models", spec["path"]) if hub_models({"models": {"": spec}}) else None
    return {"revision": commit, **settings} if commit else settings


def _hyperparameters(spec: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in spec.items() if k != "method" and k not in TRAIN_KEYS}


def problem_sources(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and problems spec of everything a configuration trains or evaluates on."""
    yield "train", config["train"]
    for label, spec in config["evaluate"]["benchmarks"].items():
        yield f"evaluate.benchmarks.{label}", spec
    yield "evaluate.selection", config["evaluate"]["selection"]


def _check_divides(train: dict[str, Any], key: str) -> None:
    total = train["completions_per_step"]
    if total % train[key]:
        raise UserError(
            f"config: train.{key} = {train[key]} does not divide "
            f"train.completions_per_step = {total}"
        )


def _with_defaults(value: Any, schema: dict[str, Any]) -> Any:
    """A copy of ``value`` in which the schema's defaults stand where a key was left out."""
    if "$ref" in schema:
        schema = {**SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]], **schema}
    if not isinstance(value, dict):
        return copy.deepcopy(value)
    known = schema.get("properties", {})
    rest = schema.get("additionalProperties")
    filled = {
        key: _with_defaults(entry, known.get(key) or (rest if isinstance(rest, dict) else {}))
        for key, entry in value.items()
    }
    defaults = {
        k: _with_defaults(s["default"], s)
        for k, s in known.items()
        if "default" in s and k not in value
    }
    return {**filled, **defaults}


def _explain(error: ValidationError) -> str:
    """One line: the key, what is wrong, what is allowed."""
    where = ".".join(str(part) for part in error.absolute_path) or "top level"
    schema = error.schema if isinstance(error.schema, dict) else {}
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        allowed = list(schema.get("properties", {}))
        unknown = [key for key in instance if key not in allowed]
        return f"{where}: unknown key {unknown[0]!r}, allowed are {', '.join(allowed)}"
    if "propertyNames" in error.absolute_schema_path:
        return f"{where}: bad label {instance!r}: {_label_rule(error)}"
    if error.validator == "not" and "models" in error.absolute_path:
        return f"{where}: needs exactly one of architecture (a tiny model) and path"
    if error.validator == "uniqueItems":
        return f"{where}: {instance} lists a value twice"
    if where.endswith("name") and error.validator in ("pattern", "type"):
        return f"{where}: bad name {instance!r}: {_label_rule(error)}"
    return f"{where}: {error.message}"


def _label_rule(error: ValidationError) -> str:
    if error.validator == "not":
        reserved = error.schema["not"]["enum"] if isinstance(error.schema, dict) else []
        return f"reserved: {', '.join(reserved)}"
    if error.validator == "type":
        return "a text is needed, put it in quotes"
    return "letters, digits, '.', '_' and '-', starting with a letter or digit, at most 64"
