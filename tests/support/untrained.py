"""A cell whose only checkpoint is the initial policy: what evaluation needs, in no time."""

from dataclasses import asdict

from support.small import small_config

from gxpo.cells import write_json
from gxpo.config import complete_config, get_cell
from gxpo.preparation import training_problems

SAMPLING = {"stops": [{"id": 2}]}  # as training records it: <eos>


def untrained_cell(policy, checkpoints=(0,), **settings):
    """A 'trained' cell whose only checkpoint is the initial policy."""
    config = small_config(policy)
    config["evaluate"].update(settings)
    cell = get_cell(complete_config(config), "tiny", "grpo", 0)
    cell.folder.mkdir(parents=True, exist_ok=True)
    record = {"cell": asdict(cell), "checkpoints": list(checkpoints), "sampling": SAMPLING}
    write_json(cell.folder / "run.json", record | training_problems(cell)[1])
    return cell
