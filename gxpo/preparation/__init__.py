"""What happens once, before anything runs: fetching, and dropping problems of test suites.

May import ``config`` and what is below it.
"""

from gxpo.preparation.overlap import kept_problems, refuse_overlap, training_problems
