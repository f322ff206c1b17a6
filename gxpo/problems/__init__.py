"""Problem sets: what a problem is, where sets come from, in which order training sees them.

May import ``host`` and ``catalog``.
"""

from gxpo.problems.load import (
    content_hash,
    is_prepared,
    load_problems,
    problem_file,
    prompt_schedule,
)
from gxpo.problems.parse import unwritable
from gxpo.problems.problem import Problem
