"""``gxpo show``: the same prompt beside every label's completions, whatever they hold."""

import re
import sys
from io import BytesIO, StringIO, TextIOWrapper

import pytest
import yaml
from rich.cells import cell_len
from rich.console import Console
from support.fabricate import comparison_config, fabricate
from support.rollouts import kept_row, write_rollouts
from support.small import run

from gxpo.cells import STATE, record_failure, write_json
from gxpo.config import complete_config, get_cell
from gxpo.host import UserError
from gxpo.results.show import show

ESCAPE = "\x1b[2J\x1b]0;owned\x07\x9b31m[bold]\u202e"
CELL = ("my.yaml", "--model", "tiny", "--seed", 0)


@pytest.fixture
def config(workdir):
    raw = comparison_config()
    (workdir / "my.yaml").write_text(yaml.safe_dump(raw))
    return complete_config(raw)


def cells(config, *labels):
    return [get_cell(config, "tiny", label, 0) for label in labels]


def keep(config, label, steps, **texts):
    (cell,) = cells(config, label)
    write_rollouts(cell.folder / STATE, [kept_row(step, **texts) for step in steps])
    return cell


def printed(page, width=100, **options):
    console = Console(file=StringIO(), width=width, **options)
    console.print(page)
    return console.file.getvalue()


def test_labels_stand_side_by_side_under_their_prompt(config):
    keep(config, "base", range(1, 9), texts=("it is 2", "it is 3"))
    keep(config, "fast", range(1, 9), texts=("it is two", "no idea", "5"))
    text = printed(show(cells(config, "base", "fast")))
    assert "tiny, seed 0, step 8 of 8 (kept: 1 to 8)" in text
    assert text.count("1 + 1 ?") == 1
    assert "answer: 2" in text
    lines = text.splitlines()
    (first,) = [line for line in lines if "it is 2" in line]
    assert "it is two" in first
    (heads,) = [line for line in lines if "base: mean reward" in line]
    assert "base: mean reward 0.500" in heads
    assert "fast: mean reward 0.333" in heads
    (facts,) = [line for line in lines if "reward 1" in line]
    assert facts.count("reward 1, 3 tokens, ended") == 2
    assert "reward 0, 3 tokens, cut off" in text


def test_the_default_is_the_last_step_that_all_labels_have(config):
    keep(config, "base", [1, 2, 3, 4, 5])
    keep(config, "fast", [1, 2, 3])
    assert "step 3 of 8 (kept: 1 to 3)" in printed(show(cells(config, "base", "fast")))
    assert "step 2 of 8" in printed(show(cells(config, "base", "fast"), 2))
    with pytest.raises(UserError, match=r"fast/seed0: step 4 is not kept; kept are 1 to 3$"):
        show(cells(config, "base", "fast"), 4)


def test_steps_of_a_long_run_are_listed_in_short(config):
    keep(config, "base", [1, *range(3, 300, 3), 300])
    listed = r"kept are 1, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, \.\.\., 300$"
    with pytest.raises(UserError, match=listed):
        show(cells(config, "base"), 2)
    keep(config, "fast", [2, 4])
    with pytest.raises(UserError, match=r"no kept step in common: base: 1, .*; fast: 2, 4$"):
        show(cells(config, "base", "fast"))


def test_prompts_that_differ_are_not_put_side_by_side(config):
    keep(config, "base", [1], prompt="1 + 1 ?")
    keep(config, "fast", [1], prompt="2 + 2 ?")
    text = printed(show(cells(config, "base", "fast")))
    assert text.index("1 + 1 ?") < text.index("base: mean") < text.index("2 + 2 ?")
    assert text.index("2 + 2 ?") < text.index("fast: mean")


@pytest.mark.parametrize("terminal", [True, False])
def test_no_control_character_of_a_policy_reaches_the_terminal(config, terminal):
    keep(config, "base", [1], prompt=f"p{ESCAPE}", texts=(f"t{ESCAPE}",), answer=f"a{ESCAPE}")
    text = printed(show(cells(config, "base")), force_terminal=terminal, width=120)
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)  # rich's own colours
    assert (bare != text) == terminal
    assert not [c for c in bare if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)]
    assert "\u202e" not in bare
    shown = r"\x1b[2J\x1b]0;owned\x07\x9b31m[bold]\u202e"
    for first in "pta":
        assert f"{first}{shown}" in bare


@pytest.mark.parametrize("width", [30, 47, 200])
def test_lines_are_as_wide_as_the_terminal_at_most(config, width):
    keep(config, "base", [1], texts=("x" * 500, "some words " * 40))
    keep(config, "fast", [1], texts=("数学" * 90, "b"))
    text = printed(show(cells(config, "base", "fast")), width=width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert text.count("x") == 500  # folded, not cut
    assert text.count("数") == 90


def test_what_a_cell_lacks_is_said(config, workdir, monkeypatch, capsys):
    def refusal(*arguments):
        assert run(monkeypatch, "show", *CELL, *arguments) == 2
        return capsys.readouterr().err

    (cell,) = cells(config, "base")
    lacks = f"error: cell {cell.folder} has no rollouts.jsonl.gz: "
    assert refusal("--label", "base") == f"{lacks}missing (not trained)\n"
    record_failure(cell.folder, "train", "loss is nan at step 3")
    assert refusal("--label", "base") == f"{lacks}failed (train: loss is nan at step 3)\n"
    (cell.folder / "failure.json").unlink()
    fabricate(config, lambda *_: 0.5)  # a finished cell without the file
    older = "trained (with train.keep_completions: 0, or by a version that kept none)"
    assert refusal("--label", "base") == f"{lacks}{older}\n"
    assert "no 'slow' in methods: known are base, fast" in refusal("--label", "slow")
    assert "Missing option '--label'" in refusal()


def test_the_command_shows_a_finished_cell_without_its_state(config, workdir, monkeypatch, capsys):
    fabricate(config, lambda *_: 0.5)
    (cell,) = cells(config, "base")
    write_rollouts(cell.folder, [kept_row(1), kept_row(2, texts=("\ud800 é",))])
    monkeypatch.setenv("COLUMNS", "60")
    assert run(monkeypatch, "show", *CELL, "--label", "base", "--label", "base") == 0
    text = capsys.readouterr().out
    assert "step 2 of 8 (kept: 1 to 2)" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) == 60
    assert "other settings" not in text
    record = {"cell": {"train": {"steps": 9}}}
    write_json(cell.folder / "run.json", record)
    assert run(monkeypatch, "show", *CELL, "--label", "base", "--step", 1) == 0
    assert "base: trained with other settings than the configuration" in capsys.readouterr().out


def test_colours_are_for_terminals_that_want_them(config, monkeypatch):
    keep(config, "base", [1])
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    page = show(cells(config, "base"))
    assert "\x1b[1;32mreward 1" in printed(page, force_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "32m" not in printed(page, force_terminal=True)
    assert "\x1b" not in printed(page)


def test_a_locale_that_lacks_a_character_does_not_end_the_command(config, monkeypatch):
    keep(config, "base", [1], texts=("数",))
    raw = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(raw, encoding="latin-1"))
    assert run(monkeypatch, "show", *CELL, "--label", "base") == 0
    sys.stdout.flush()
    assert rb"\u6570" in raw.getvalue()
