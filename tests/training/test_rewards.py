"""Rewards: correctness alone by default, and the optional format reward beside it."""

import pytest
from support.small import small_config

import gxpo.training.cell as training
from gxpo.cells import read_rows
from gxpo.config import complete_config, get_cell
from gxpo.host import UserError
from gxpo.training import correct, reward_functions
from gxpo.training.rewards import boxed_once


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        (r"so \boxed{5}", 1),
        (r"so \boxed{\frac{1}{2}}, which is wrong", 1),
        (r"\boxed{5} or \boxed{6}", 0),
        (r"\boxed{5", 0),
        (r"\boxed{}", 0),
        (r"\boxed 5", 0),
        ("5", 0),
        ("", 0),
    ],
)
def test_boxed_once(completion, reward):
    assert boxed_once([completion]) == [reward]
    assert boxed_once([[{"role": "assistant", "content": completion}]]) == [reward]


def test_correctness_does_not_care_about_the_format():
    assert correct([r"\boxed{5}", "#### 5", "5", r"\boxed{6}"], ["5"] * 4) == [1, 1, 1, 0]


def cell_of(policy, **train):
    raw = small_config(policy)
    raw["train"] |= train
    return get_cell(complete_config(raw), "tiny", "grpo", 0)


def test_the_format_reward_is_off_by_default(tiny_policy, workdir):
    cell = cell_of(tiny_policy)
    assert cell.train["format_reward"] == 0
    assert reward_functions(None, cell.train["format_reward"]) == [correct]
    assert training.grpo_config(cell, workdir, []).reward_weights is None


def test_a_negative_weight_is_refused(tiny_policy):
    with pytest.raises(UserError, match="format_reward"):
        cell_of(tiny_policy, format_reward=-1)


def test_the_format_reward_counts_in_the_reward_but_not_in_pass_at_1(
    tiny_policy, workdir, monkeypatch
):
    """The tiny policy never writes a box, so here every completion's format is fine."""

    def boxed_once(completions, **_):
        return [1.0] * len(completions)

    monkeypatch.setattr("gxpo.training.rewards.boxed_once", boxed_once)
    cell = cell_of(tiny_policy, format_reward=0.25, steps=2)
    training.train(cell)
    rows = read_rows(cell.folder / "metrics.jsonl")
    assert any(row["pass_at_1"] > 0 for row in rows)
    for row in rows:
        assert row["reward"] == pytest.approx(row["pass_at_1"] + 0.25)
