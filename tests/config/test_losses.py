"""``train.loss``: names, papers' settings, and which labels are one run."""

import copy

import pytest

from gxpo.cells.cell import deciding
from gxpo.config import cells, complete_config
from gxpo.config.losses import LOSSES, complete_loss, same_by_construction, trl_options
from gxpo.config.schema import SCHEMA
from gxpo.host import UserError

RAW = {
    "name": "test",
    "seeds": [0],
    "models": {"tiny": {"architecture": "qwen2"}},
    "methods": {"grpo": {"method": "grpo"}},
    "train": {"problems": "synthetic/train", "steps": 2},
    "evaluate": {
        "every": 1,
        "benchmarks": {"words": {"problems": "synthetic/test"}},
        "selection": {"problems": "synthetic/selection"},
    },
}


def completed(methods, **train):
    raw = copy.deepcopy(RAW) | {"methods": methods}
    raw["train"] |= train
    return complete_config(raw)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grpo", ("grpo", "token", 0.2, None, "group")),
        ("dr_grpo", ("dr_grpo", "token", 0.2, None, "none")),
        ("dapo", ("dapo", "token", 0.2, 0.28, "group")),
        ("bnpo", ("bnpo", "token", 0.2, None, "group")),
        ("cispo", ("cispo", "token", 0.2, 5.0, "group")),
        ("sapo", ("sapo", "token", 0.2, None, "group")),
        ("vespo", ("vespo", "token", 0.2, None, "group")),
        ("luspo", ("luspo", "sequence", 2e-3, 2.5e-3, "group")),
        ("gspo", ("grpo", "sequence", 3e-4, 4e-4, "group")),
    ],
)
def test_names_mean_the_settings_of_their_papers(name, options):
    found = trl_options(complete_loss(name, 0.2))
    keys = ("loss_type", "importance_sampling_level", "epsilon", "epsilon_high", "scale_rewards")
    assert tuple(found.get(key) for key in keys) == options


def test_the_schema_knows_every_loss():
    assert SCHEMA["$defs"]["loss"]["oneOf"][0]["enum"] == list(LOSSES)


def test_a_label_may_have_its_own_loss():
    config = completed(
        {
            "a": {"method": "grpo"},
            "b": {"method": "grpo", "loss": {"name": "dapo", "epsilon": 0.1}},
        },
        epsilon=0.3,
    )
    a, b = cells(config)
    assert a.train["loss"] == {"name": "grpo", "epsilon": 0.3, "scale_rewards": "group"}
    assert b.train["loss"] == {
        **{"name": "dapo", "epsilon": 0.1, "epsilon_high": 0.28},
        "scale_rewards": "group",
    }
    assert "loss" not in b.hyperparameters
    assert complete_config(config) == config  # what was completed is read again


def test_a_default_that_is_written_out_trains_nothing_anew():
    """Runs of before there was a choice of losses are what they were."""
    plain = cells(completed({"a": {"method": "grpo"}}))[0]
    written = cells(completed({"a": {"method": "grpo", "loss": "grpo"}}, loss="grpo"))[0]
    assert deciding(plain.train) == deciding(written.train)
    assert not {"loss", "entropy_bonus"} & deciding(plain.train).keys()
    other = cells(completed({"a": {"method": "grpo", "loss": "dapo"}}))[0]
    assert "loss" in deciding(other.train)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"name": "sapo", "epsilon": 0.1}, "epsilon has no effect on sapo"),
        ({"name": "cispo", "epsilon": 0.1}, "epsilon has no effect on cispo"),
        ({"name": "vespo", "epsilon_high": 0.1}, "epsilon_high has no effect on vespo"),
    ],
)
def test_settings_that_a_loss_has_not_are_refused(loss, message):
    with pytest.raises(UserError, match=f"config: train.loss: {message}"):
        completed({"a": {"method": "grpo"}}, loss=loss)


def labels(rule, *losses, **settings):
    return {name: {"method": rule, "loss": name, **settings} for name in losses}


def test_labels_that_are_one_run_are_named():
    same = list(same_by_construction(completed(labels("grpo", "grpo", "gspo", "sapo", "dapo"))))
    assert len(same) == 1
    assert same[0].startswith("labels grpo, gspo, sapo are one run by construction")
    token_means = completed(labels("grpo", "dapo", "bnpo", "cispo"))
    assert "labels dapo, bnpo, cispo" in next(same_by_construction(token_means))
    split = completed(labels("grpo", "dapo", "bnpo"), micro_batch_size=8)
    assert not list(same_by_construction(split))


def test_labels_whose_ratio_moves_are_not():
    assert not list(same_by_construction(completed(labels("sfpo", "grpo", "gspo"))))
    refreshed = completed(labels("sfpo", "grpo", "gspo", old_logprobs="refresh"))
    assert list(same_by_construction(refreshed))
    assert list(same_by_construction(completed(labels("gxpo", "grpo", "sapo"))))  # its default
    rates = labels("grpo", "grpo", "gspo")
    rates["gspo"]["learning_rate"] = 2e-6
    assert not list(same_by_construction(completed(rates)))
