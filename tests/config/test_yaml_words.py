"""What YAML 1.1 reads differently than it was meant: refused with what to write, or right."""

import pytest
import yaml
from support.small import run, small_config

from gxpo.cluster.site import read_site
from gxpo.config import complete_config, merged_config, read_config
from gxpo.host import UserError, hint, parse_yaml


@pytest.mark.parametrize(
    ("written", "value"),
    [("1e-6", 1e-6), ("1E6", 1e6), ("2.5e3", 2.5e3), ("-1e+2", -1e2), ("1_0.5e3", 10.5e3)],
)
def test_what_the_hint_says_to_write_is_read_as_the_number_meant(written, value):
    assert parse_yaml(written) == written  # a text: hence the hint
    instead = hint(written, "number").rpartition("write ")[2]
    assert parse_yaml(instead) == value


@pytest.mark.parametrize(
    ("key", "written", "message"),
    [
        ("train.learning_rate", "1e-6", "learning_rate: '1e-6' is not .*: YAML .*write 1.0e-6"),
        ("train.learning_rate", "'0.5'", "write 0.5, without quotes"),
        ("train.steps", "1e1", "steps: '1e1' is not of type 'integer': write 10"),
        ("train.steps", "1.0e+1", r"steps: 10\.0 is not of type 'integer': write 10"),
        ("train.steps", "'08'", "write 8"),
        ("train.steps", "0o12", "write 10"),
        ("train.steps", "012", r"line \d+: YAML reads 012 as 10 \(octal\): write 12, or '012'"),
        ("train.steps", "1:30", r"line \d+: YAML reads 1:30 as 90 \(base 60\): write the number"),
        ("train.beta", "1:30.5", r"reads 1:30\.5 as 90\.5 \(base 60\)"),
        ("train.gradient_checkpointing", "'true'", "write true or false, without quotes"),
        ("train.problems", "on", "YAML reads yes, no, on, off, true and false as truth values"),
        ("train.problems", "2026-01-01", "problems: 2026-01-01 is not .*as a date, put it in"),
        ("train.problems", "17", "put it in quotes"),
        ("train.problems", "", "as no value, put a text in quotes"),
        ("name", "2026-01-01", "bad name 2026-01-01: a text is needed: YAML reads it as a date"),
        ("name", "no", "bad name False: a text is needed: YAML reads yes, no"),
        ("name", "1_000", "bad name 1000: a text is needed: put it in quotes"),
        ("seeds", "0", r"seeds: 0 is not of type 'array': write \[0\]"),
        ("methods", "", "methods: None is not of type 'object': nothing is written under it"),
        ("models.tiny.revision", "0123456", "'0123456' in quotes if a text is meant"),
        ("methods.grpo.k", "5", "no hyperparameter 'k'"),
        ("methods.gxpo.alpha", "5e-1", r"must be float, not '5e-1': YAML .*, write 5\.0e-1;"),
        ("methods.gxpo.gate", "off", "not False: YAML reads yes, no, on, off"),
        ("methods.gxpo.k", "1e1", "must be int, not '1e1': write 10;"),
        ("seeds", "[2026-13-45]", "is not valid YAML: month must be"),
    ],
)
def test_what_is_read_as_something_else_is_refused_with_what_to_write(
    tiny_policy, tmp_path, key, written, message
):
    raw = small_config(
        tiny_policy, methods={"grpo": {"method": "grpo"}, "gxpo": {"method": "gxpo"}}
    )
    *parents, last = key.split(".")
    entry = raw
    for parent in parents:
        entry = entry[parent]
    entry[last] = "WRITTEN"
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(raw).replace("WRITTEN", written))
    with pytest.raises(UserError, match=message) as caught:
        read_config(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("on", "bad label True: .*truth values, put it in quotes"),
        ("null", "bad label None: .*as no value"),
        ("2026-01-01", "bad label 2026-01-01: .*as a date"),
        ("0x10", "bad label 16: a text is needed: put it in quotes"),
        ("12:30", "reads 12:30 as 750"),
        ("010", "reads 010 as 8"),
    ],
)
def test_labels_that_are_no_texts_to_yaml(tiny_policy, tmp_path, label, message):
    file = tmp_path / "config.yaml"
    text = yaml.safe_dump(small_config(tiny_policy, methods={"LABEL": {"method": "grpo"}}))
    file.write_text(text.replace("LABEL", label))
    with pytest.raises(UserError, match=message):
        read_config(file)


@pytest.mark.parametrize("label", ["1e5", "1.2.3", "'010'", "'on'", "0b", "08-run"])
def test_labels_that_only_look_like_numbers_are_texts(tiny_policy, tmp_path, label):
    file = tmp_path / "config.yaml"
    text = yaml.safe_dump(small_config(tiny_policy, methods={"LABEL": {"method": "grpo"}}))
    file.write_text(text.replace("LABEL", label))
    config = read_config(file)
    assert list(config["methods"]) == [label.strip("'")]
    again = tmp_path / "resolved.yaml"  # what jobs read
    again.write_text(yaml.safe_dump(config))
    assert read_config(again) == config


def test_readable_numbers_stay_numbers():
    assert parse_yaml("[1_000, 0x10, 01, 1.0e-6, -7, 0, 0.5]") == [1000, 16, 1, 1e-6, -7, 0, 0.5]


def test_a_merged_mapping_may_be_overridden(tmp_path):
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}")["b"] == {"x": 1, "y": 3}


def test_a_walltime_of_hours_and_minutes_is_no_number_of_hours(tmp_path):
    (tmp_path / "site.yaml").write_text("max_hours: 24:00:00\n")
    with pytest.raises(UserError, match=r"site\.yaml: line 1: YAML reads 24:00:00 as 86400"):
        read_site(tmp_path / "site.yaml")


def test_a_hyperparameter_given_by_hand_is_read_as_strictly(monkeypatch, capsys):
    assert run(monkeypatch, "check-method", "gxpo", "--quick", "--set", "k=012") == 2
    assert "--set 'k=012': line 1: YAML reads 012 as 10 (octal)" in capsys.readouterr().err


def test_what_is_given_on_snakemakes_command_line_lies_over_the_file(tiny_policy, tmp_path):
    """Snakemake leaves every number in a mapping or list a text: they are read as in the file."""
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    raw = small_config(tiny_policy)
    first.write_text(yaml.safe_dump(raw))
    second.write_text("train: {steps: 8}\n")
    given = {
        "name": "other",
        "seeds": ["3", "4"],
        "train": {"beta": "1.0e-2", "template": "{problem}!"},
    }
    config = merged_config([first, second], given)
    assert config == complete_config(
        raw
        | {"name": "other", "seeds": [3, 4]}
        | {"train": raw["train"] | {"steps": 8, "beta": 0.01, "template": "{problem}!"}}
    )
    with pytest.raises(UserError, match=r"train\.beta: '1e-2' .*write 1\.0e-2"):
        merged_config([first], {"train": {"beta": "1e-2"}})
    with pytest.raises(UserError, match=r"--config: line 1: YAML reads 012 as 10"):
        merged_config([first], {"train": {"steps": "012"}})


def test_a_file_that_is_no_mapping_is_refused(tiny_policy, tmp_path):
    (tmp_path / "list.yaml").write_text("[1, 2]\n")
    with pytest.raises(UserError, match=r"list\.yaml: a configuration has keys at its top level"):
        merged_config([tmp_path / "list.yaml"], {"name": "x"})
