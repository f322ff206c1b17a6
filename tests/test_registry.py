"""Finding methods and checking their hyperparameters."""

import pytest

from gxpo import load_method
from gxpo.errors import UserError
from gxpo.registry import known_methods

METHOD = """
from gxpo.method import Method

class Mine(Method):
    def __init__(self, strength: float = 1.0, times: int = 1, fast: bool = False):
        self.strength, self.times, self.fast = strength, times, fast

    def update(self, batch):
        batch.backward()
        batch.step()
        return {}
"""


@pytest.fixture
def my_method(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(METHOD)
    return str(file)


def test_shipped_methods_and_their_defaults():
    assert {"grpo", "sfpo", "gxpo"} <= set(known_methods())
    gxpo = load_method("gxpo").hyperparameters
    assert gxpo["k"] == 5
    assert gxpo["alpha"] == 0.5
    assert (gxpo["gate"], gxpo["window"], gxpo["tau"]) == ("window", 30, 2.0)
    assert (gxpo["old_logprobs"], gxpo["small_gradient"]) == ("refresh", "floor")
    sfpo = load_method("sfpo").hyperparameters
    assert (sfpo["k"], sfpo["alpha"], sfpo["window"], sfpo["threshold"]) == (3, 0.8, 30, 1.0)


def test_a_file_anywhere_is_a_method(my_method):
    method = load_method(my_method, strength=2, times=3, fast=True)
    assert method.hyperparameters == {"strength": 2, "times": 3, "fast": True}


@pytest.mark.parametrize(
    ("method", "hyperparameters", "message"),
    [
        ("gxop", {}, r"unknown method 'gxop': known are .*gxpo, .*sfpo"),
        ("no/such.py", {}, r"unknown method 'no/such.py'"),
        ("gxpo", {"kk": 3}, r"no hyperparameter 'kk': accepted are k, alpha, tau"),
        ("grpo", {"k": 3}, r"no hyperparameter 'k': accepted are none"),
        ("gxpo", {"k": 2.5}, r"'k' of method 'gxpo' must be int, not 2.5; accepted are k, alpha"),
        ("gxpo", {"k": True}, r"'k' .* must be int"),
        ("gxpo", {"k": "5"}, r"'k' .* must be int"),
        ("gxpo", {"gate": "windw"}, r"'gate' .* must be one of 'window', 'ema', 'never'"),
        ("gxpo", {"k": 1}, r"k must be at least 2"),
        ("gxpo", {"alpha": 1.5}, r"alpha must lie in \[0, 1\], not 1.5"),
        ("gxpo", {"tau": 0.0}, r"tau must be positive"),
        ("gxpo", {"delta": -1e-8}, r"delta must be positive"),
        ("gxpo", {"window": 1}, r"window must be at least 2"),
        ("gxpo", {"min_observations": 31}, r"min_observations must lie in \[1, window=30\]"),
        ("gxpo", {"omega": 1.0}, r"omega must lie in \(0, 1\)"),
        ("sfpo", {"k": 0}, r"k must be at least 1"),
        ("sfpo", {"alpha": -0.1}, r"alpha must lie in \[0, 1\]"),
        ("sfpo", {"window": 1}, r"window must be at least 2"),
        ("sfpo", {"threshold": -1.0}, r"threshold must be positive"),
    ],
)
def test_bad_methods_are_refused_with_what_is_allowed(method, hyperparameters, message):
    with pytest.raises(UserError, match=message):
        load_method(method, **hyperparameters)


def test_ill_typed_values_of_own_methods(my_method):
    for wrong in ({"times": 1.0}, {"times": False}, {"fast": 1}, {"strength": "1"}):
        with pytest.raises(UserError, match="must be"):
            load_method(my_method, **wrong)


def test_a_file_must_define_one_method(tmp_path):
    file = tmp_path / "two.py"
    file.write_text(METHOD + METHOD.replace("Mine", "Yours"))
    with pytest.raises(UserError, match="exactly one Method subclass, found Mine, Yours"):
        load_method(str(file))
    file.write_text("x = 1\n")
    with pytest.raises(UserError, match="found none"):
        load_method(str(file))
