"""What is known of the demo's tiny policies before they are made, without torch."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from gxpo.problems import synthetic

PAD, UNKNOWN, END = "<pad>", "<unk>", "<eos>"
CONTEXT = 128  # tokens
MODULES = (
    *("q_proj", "k_proj", "v_proj", "o_proj"),
    *("gate_proj", "up_proj", "down_proj", "embed_tokens", "lm_head"),
)
"""Names that LoRA adapters can have as targets."""


def word_tokenizer() -> Tokenizer:
    """Words, single digits and signs; decoding joins the tokens without spaces."""
    words = [*synthetic.NAMES, *synthetic.THINGS, "has", "gets", "gives", ",", "?"]
    vocabulary = [PAD, UNKNOWN, END, *words, *"0123456789+-=;", "####"]
    tokenizer = Tokenizer(
        models.WordLevel({t: i for i, t in enumerate(vocabulary)}, unk_token=UNKNOWN)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"####|\d|[A-Za-z]+|[^A-Za-z\d]"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Fuse()
    return tokenizer
