"""Run configurations as users write them: YAML, in which every key stands once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gxpo.config.completing import complete_config
from gxpo.host import UserError, read_text, shipped

REGISTRIES = ("benchmarks", "models", "hub.lock")


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
    """A checked, completed configuration. Raises UserError."""
    return complete_config(_read_yaml(config_file(path)))


def config_file(path: str | Path) -> Path:
    """The YAML file of a path, or of the name of a shipped configuration (``demo``). Raises
    UserError where there is none."""
    if Path(path).is_file():
        return Path(path)
    if str(path) in (names := shipped_configurations()):
        return names[str(path)]
    raise UserError(
        f"config file {str(path)!r} does not exist; shipped ones, by name: {', '.join(names)}"
    )


def shipped_configurations() -> dict[str, Path]:
    """Name -> file of the configurations that come with the suite."""
    files = sorted(shipped("config").glob("*.yaml"))
    return {file.stem: file for file in files if file.stem not in REGISTRIES}


def refuse_duplicate_keys(path: str | Path) -> None:
    """Raise UserError where a YAML file gives a key twice (two methods of one label, say)."""
    _read_yaml(Path(path))


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.load(read_text(path), Loader=_UniqueKeyLoader)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
