"""One cell trained: any method in TRL's trainer, counted and timed, resumed exactly.

May import ``tracking``, ``policy``, ``preparation`` and what is below them.

A cell is trained by ``training.cell``, which needs more than the library does.
"""

from gxpo.training.batch import TrainerBatch
from gxpo.training.rewards import correct, parity, reward_functions
from gxpo.training.trainer import MethodTrainer
