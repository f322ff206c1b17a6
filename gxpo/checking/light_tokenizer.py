"""A folder's tokenizer and chat template without torch, for what only counts and looks.

The part of transformers' interface that ``gxpo.policy`` asks for. Where a model's own class treats
its files in another way, lengths may differ by a few tokens: whoever would refuse by them asks the
tokenizer itself (``gxpo.policy.loading``).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from tokenizers import Tokenizer

from gxpo.checking.model_folder import ModelFolder
from gxpo.host import UserError

TOKENIZER = "tokenizer.json"
TEMPLATE = "chat_template.jinja"
TOKEN_KEYS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")


class LightTokenizer:
    """A ``tokenizers`` tokenizer with a chat template, if there is one."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: str | None = None,
        named: dict[str, str] | None = None,
    ):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._named = named or {}
        self.chat_template = template

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        return self._tokenizer.get_added_tokens_decoder()

    @property
    def unk_token_id(self) -> int | None:
        return self._tokenizer.token_to_id(self._named.get("unk_token", ""))

    def __call__(self, text: str | Sequence[str], add_special_tokens: bool = True) -> Any:
        texts = [text] if isinstance(text, str) else list(text)
        # One after another takes the same time on one core, and all at a time more memory.
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=add_special_tokens)
        ids = [one.ids for one in encoded]
        return SimpleNamespace(input_ids=ids[0] if isinstance(text, str) else ids)

    def apply_chat_template(
        self, conversation: Any, tokenize: bool = False, add_generation_prompt: bool = False
    ) -> Any:
        from transformers.utils.chat_template_utils import render_jinja_template

        several = bool(conversation) and isinstance(conversation[0], list)
        texts, _ = render_jinja_template(
            conversations=conversation if several else [conversation],
            chat_template=self.chat_template,
            add_generation_prompt=add_generation_prompt,
            **self._named,
        )
        return texts if several else texts[0]


def light_tokenizer(folder: ModelFolder) -> LightTokenizer | None:
    """The tokenizer of a folder; None where it has no ``tokenizer.json``. Raises UserError for one
    that cannot be read."""
    file = folder.path / TOKENIZER
    if not file.exists():
        return None
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more special
        raise UserError(f"model file {file} cannot be read: {error}") from error
    config = folder.json("special_tokens_map.json") | folder.json("tokenizer_config.json")
    tokens = {key: _content(config.get(key)) for key in TOKEN_KEYS}
    named = {key: token for key, token in tokens.items() if token is not None}
    return LightTokenizer(tokenizer, _template(folder, config), named)


def _content(token: Any) -> str | None:
    """A special token is written as a text, or as an object with its properties."""
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) else None


def _template(folder: ModelFolder, config: dict[str, Any]) -> str | None:
    file = folder.path / TEMPLATE
    if file.exists():
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"model file {file} is not UTF-8: {error.reason}") from error
    template = config.get("chat_template")
    if isinstance(template, list):  # several by name
        named = {entry.get("name"): entry.get("template") for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None
