"""One cell evaluated: sampled pass@1 of every checkpoint, through lm-eval.

May import ``policy``, ``preparation`` and what is below them.
"""
