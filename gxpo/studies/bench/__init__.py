"""``gxpo bench``: what the suite and its rules cost beyond GRPO, in time and in memory.

Models are random and made here; nothing is downloaded. All times are ratios of paired runs in one
process, so that a slow or noisy machine changes both sides of a ratio.
"""
