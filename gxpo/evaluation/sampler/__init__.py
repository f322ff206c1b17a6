"""Sampled completions for lm-eval: what it sees (``base``), the backends ``hf`` and ``vllm``."""
