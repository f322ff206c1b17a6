"""What happens once, before anything runs: fetching, and dropping problems of test suites.

May import ``config`` and what is below it.
"""

from gxpo.preparation.overlap import (
    kept_problems,
    refuse_overlap,
    refuse_selected_by_reported,
    training_problems,
)
