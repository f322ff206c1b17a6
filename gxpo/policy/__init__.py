"""Policies: weights, tokenizer, prompts, and the tokens that end a completion.

May import ``host``, ``problems`` and what is below them.

Loading imports torch and transformers: ``policy.loading``.
"""

from gxpo.policy.prompts import QUESTION, PromptStyle, longest_prompt, prompt_hash
from gxpo.policy.stops import recorded_stops, sample_plainly, sampling_record, stop_tokens
from gxpo.policy.weights import policy_hashes, weight_files
