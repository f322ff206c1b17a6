"""The tiny policies that the suite makes itself, and those of them whose weights it ships.

The shipped ones were made by ``gxpo warmstart`` under ``numerics: portable``, which makes them
again bit for bit (tests/policy/test_made.py): every demo starts from the same policies, on any
machine.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from gxpo.host import UserError
from gxpo.policy.weights import policy_hashes

SHIPPED = Path(__file__).parent / "policies"
WEIGHTS = {
    "qwen2": "2ab8bb898ae0e4e3ec02f6a75b4e3c6043d64e182cc8d82a94679a7eb9118667",
    "llama": "53bf448827b1968e5ec2c98edd3565b822ff16c351d307e162c4bab02919a7dd",
}
"""Architecture -> hash of the shipped weights, as ``policy_hashes`` has it."""
STEPS, SEED = 500, 0


class Made(NamedTuple):
    """What decides the weights of a policy that the suite makes."""

    architecture: str
    steps: int = STEPS
    seed: int = SEED

    @property
    def is_shipped(self) -> bool:
        return (self.steps, self.seed) == (STEPS, SEED)

    def copy(self, out: Path) -> None:
        """Put the shipped policy into the folder ``out``. Raises UserError where the installation's
        copy of it is damaged."""
        folder = SHIPPED / self.architecture
        found = policy_hashes(str(folder))["weights"]
        if found != WEIGHTS[self.architecture]:
            raise UserError(
                f"{folder} is not the policy that the suite ships (weights {found[:12]}, not "
                f"{WEIGHTS[self.architecture][:12]}): install it again, or gxpo warmstart --anew"
            )
        shutil.copytree(folder, out, dirs_exist_ok=True, copy_function=shutil.copyfile)
