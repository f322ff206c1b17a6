"""A part of the drill of tests/drills/grader_mutations.py that is small enough for every run: gold
answers with one thing changed are wrong, and the same answers spelled otherwise are right."""

from collections import Counter

import pytest
from drills.grader_mutations import DATA, SUITES, accepted, accepted_mutants, golds
from support.harmless_mutations import KNOWN_FAULTS, KNOWN_REFUSALS, reason_why_equal
from support.mutations import mutants
from support.own_golds import GOLDS
from support.rewritings import REWRITINGS

EVERY = 40  # of a suite's gold answers


class NoBar:
    def update(self):
        pass


def unknown_faults(answers):
    """Changed answers that are accepted, of at least as many as there are gold answers."""
    asked = Counter()
    found = accepted_mutants(answers, 1, asked, NoBar())
    assert sum(asked.values()) >= len(answers)
    return [(gold, mutant) for _, gold, mutant in found if (gold, mutant) not in KNOWN_FAULTS]


@pytest.mark.parametrize("kind", GOLDS)
def test_no_changed_answer_of_our_own_is_accepted(kind):
    assert unknown_faults(GOLDS[kind][:2]) == []


@pytest.mark.parametrize("suite", SUITES)
def test_no_changed_answer_of_a_suite_is_accepted(suite):
    if not (DATA / f"{suite}.jsonl").is_file():
        pytest.skip("the real problem files are not on this machine")
    assert unknown_faults(golds()[suite][::EVERY]) == []


@pytest.mark.parametrize("kind", REWRITINGS)
def test_answers_spelled_otherwise_are_accepted(kind):
    refused = [pair for pair in REWRITINGS[kind] if not accepted(*pair)]
    assert refused == [pair for pair in REWRITINGS[kind] if pair in KNOWN_REFUSALS]


def test_our_own_gold_answers_equal_themselves_and_are_many():
    answers = [gold for kind in GOLDS.values() for gold in kind]
    assert [gold for gold in answers if not accepted(gold, gold)] == []
    assert len(set(answers)) >= 300
    assert sum(map(len, REWRITINGS.values())) >= 200


def test_the_same_changes_are_made_each_time_and_none_is_the_answer_itself():
    for gold in ("12", r"\frac{a}{2}+b", "(0,1)", r"15\text{ cm}^2"):
        changed = mutants(gold, 3)
        assert changed == mutants(gold, 3)
        assert len({kind for kind, _ in changed}) >= 4
        assert gold not in [mutant for _, mutant in changed]


@pytest.mark.parametrize(
    ("gold", "changed", "equal"),
    [
        ("0", "-0", True),
        ("10", "1-0", False),
        ("12.50", "12.5", True),
        ("1250", "125", False),
        ("(C)", "(C):1", True),
        ("(C)", r"(C)\text{ or (D)}", False),
    ],
)
def test_only_changes_that_change_nothing_are_left_out(gold, changed, equal):
    assert (reason_why_equal(gold, changed) is not None) is equal
