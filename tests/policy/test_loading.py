"""What is read of a model folder, and what is not left to the day."""

import shutil

from gxpo.policy import PromptStyle, prompt_hash
from gxpo.policy.loading import load_tokenizer
from gxpo.problems import Problem

DATED = (
    "{%- if strftime_now is defined %}{%- set today = strftime_now('%d %b %Y') %}{%- endif %}"
    "Today: {{ today }}\n{% for m in messages %}<{{ m.role }}>{{ m.content }}<eos>{% endfor %}"
)


def test_a_template_that_asks_for_the_date_gets_the_same_every_day(tiny_policy, tmp_path):
    folder = shutil.copytree(tiny_policy, tmp_path / "dated")
    (folder / "chat_template.jinja").write_text(DATED)
    tokenizer = load_tokenizer(str(folder))
    text = tokenizer.apply_chat_template([{"role": "user", "content": "2 + 2?"}], tokenize=False)
    assert text == "Today: 26 Jul 2024\n<user>2 + 2?<eos>"


def test_prompts_that_are_rendered_otherwise_have_another_hash(tiny_policy, tmp_path):
    problems = [Problem("1", "1 + 1?", "2"), Problem("2", "2 + 2?", "4")]
    hashes = set()
    for template in ("{% for m in messages %}{{ m.content }}{% endfor %}", DATED):
        folder = shutil.copytree(tiny_policy, tmp_path / str(len(hashes)))
        (folder / "chat_template.jinja").write_text(template)
        tokenizer = load_tokenizer(str(folder))
        hashes.add(prompt_hash(tokenizer, PromptStyle(chat=True), problems))
        hashes.add(prompt_hash(tokenizer, PromptStyle(template="Q: {problem}"), problems))
    assert len(hashes) == 3
