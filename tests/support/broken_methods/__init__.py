"""Rules that break one promise each, and the checks that must notice.

Every entry is GRPO with one thing wrong. ``fails``: the checks that find it; where there are
several, one cannot be broken without the others.
"""

from support.broken_methods.distributed import DISTRIBUTED
from support.broken_methods.in_trainer import IN_TRAINER
from support.broken_methods.numbers import NUMBERS
from support.broken_methods.repeats import REPEATS
from support.broken_methods.reports import REPORTS
from support.broken_methods.rule import Broken, update
from support.broken_methods.surroundings import SURROUNDINGS

QUICK = [*REPORTS, *REPEATS, *NUMBERS, *SURROUNDINGS]
"""Found by the checks on the tiny policy."""
