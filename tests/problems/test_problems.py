"""Problems, their splits and their order."""

import json
import random
import re
from collections import Counter

import pytest

from gxpo.grading import is_correct
from gxpo.host import UserError
from gxpo.problems import content_hash, load_problems, prompt_schedule, synthetic


def operands(problem):
    """Start and signed changes of a problem's text."""
    changes = re.findall(r"(gets|gives) (\d)", problem.problem)
    return re.search(r"has (\d)", problem.problem)[1], *changes


def test_splits_share_no_operands():
    seen = {
        split: {operands(p) for p in load_problems(f"synthetic/{split}")}
        for split in synthetic.SPLITS
    }
    for a in seen:
        for b in seen:
            assert a == b or not seen[a] & seen[b]


@pytest.mark.parametrize("split", synthetic.SPLITS)
def test_solutions_are_right_and_problems_are_reproducible(split):
    rng = random.Random(1)
    for _ in range(50):
        problem = synthetic.draw(split, rng)
        assert is_correct(synthetic.solution(problem), str(problem.answer))
        assert problem.answer == problem.start + problem.first + problem.second >= 0
        assert split != "hard" or problem.middle >= 10
    assert load_problems(f"synthetic/{split}") == load_problems(f"synthetic/{split}")


def test_noisy_solutions_are_wrong_often_enough_to_leave_headroom():
    rng = random.Random(0)
    problems = [synthetic.draw("train", rng) for _ in range(2000)]
    right = sum(is_correct(synthetic.noisy_solution(p, rng), str(p.answer)) for p in problems)
    assert 0.45 < right / 2000 < 0.65  # about 0.8 cubed, and what impossible steps add


def test_the_tokenizer_round_trips_solutions():
    from gxpo.policy.warmstart import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    rng = random.Random(0)
    for _ in range(50):
        text = synthetic.solution(synthetic.draw("train", rng))
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.unk_token_id not in tokenizer(synthetic.draw("hard", rng).text).input_ids


def test_schedule_is_a_shuffle_per_pass_and_a_function_of_the_seed():
    schedule = prompt_schedule(10, 25, seed=1)
    assert schedule == prompt_schedule(10, 25, seed=1)
    assert schedule != prompt_schedule(10, 25, seed=2)
    assert Counter(schedule[:10]) == Counter(schedule[10:20]) == Counter(range(10))
    assert schedule[:10] != schedule[10:20]
    assert prompt_schedule(10, 40, seed=1)[:25] == schedule  # longer runs start the same


def test_jsonl(tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text('{"id": 1, "problem": "1+1?", "answer": 2, "level": 3}\n\n')
    (problem,) = load_problems(str(file))
    assert (problem.id, problem.problem, problem.answer) == ("1", "1+1?", "2")
    assert content_hash([problem]) != content_hash([])


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[]", '{"id": 1, "problem": "x"}', "3"),
        '{"id": 2, "problem": "x", "answer": null}',  # what no answer can be equal to
        '{"id": 2, "problem": "x", "answer": ["1", "2"]}',
        '{"id": 2, "problem": "x", "answer": " "}',
        '{"id": 2, "problem": "", "answer": "1"}',
        '{"id": 2, "problem": "x", "answer": true}',
    ],
)
def test_bad_lines_are_named(tmp_path, line):
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps({"id": 1, "problem": "x", "answer": "y"}) + "\n" + line + "\n")
    with pytest.raises(UserError, match=r"p\.jsonl:2: every line must be a JSON object with id"):
        load_problems(str(file))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "q7", "problem": "x", "answer": NaN}', "NaN is no number"),
        ('{"id": "q7", "problem": "x", "answer": Infinity}', "Infinity is no number"),
        ('{"id": "q7", "problem": -Infinity, "answer": "1"}', "-Infinity is no number"),
        ('{"id": "q7", "problem": "x", "answer": 1e999}', "1e999 is too large"),
        ('{"id": "q7", "problem": "x", "answer": "1", "level": [NaN]}', "NaN is no number"),
        ('{"id": "q7", "problem": "x", "answer": "1", "answer": "2"}', "'answer' is given twice"),
    ],
)
def test_words_that_are_numbers_to_python_are_no_answers(tmp_path, line, reason):
    (tmp_path / "p.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(UserError, match=rf"p\.jsonl:2: .*id 'q7'; .*{reason}") as caught:
        load_problems(str(tmp_path / "p.jsonl"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["id", "problem", "answer"])
@pytest.mark.parametrize(
    ("escape", "reason"),
    [
        (r"\ud83d", r"half of a surrogate pair \(U\+D83D\)"),
        (r"\udc00", r"half of a surrogate pair \(U\+DC00\)"),
        (r"\u0000", r"control character U\+0000: mend"),
        (r"\u001b", r"control character U\+001B: mend"),
        (r"\frac", r"control character U\+000C \(JSON's \\f, as in \\frac"),
        (r"\boxed", r"control character U\+0008 \(JSON's \\b, as in \\boxed"),
    ],
)
def test_characters_that_no_file_or_tokenizer_takes_are_refused(tmp_path, key, escape, reason):
    row = {"id": "q7", "problem": "x", "answer": "y"} | {key: "q7 HERE"}
    line = json.dumps(row).replace("HERE", escape)
    (tmp_path / "p.jsonl").write_text(line + "\n")
    where = rf"p\.jsonl:1: {key} of the problem with the id 'q7.*' has (the )?{reason}"
    with pytest.raises(UserError, match=where) as caught:
        load_problems(str(tmp_path / "p.jsonl"))
    str(caught.value).encode()  # the message itself can be printed


def test_whole_emoji_and_odd_white_space_are_kept(tmp_path):
    text = "how many \U0001f600 ?\tone\r\nper line\u0085\u2028 caf\u00e9"
    row = {"id": "\U0001f600", "problem": text, "answer": 2}
    (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n")  # as two escapes a pair
    (problem,) = load_problems(str(tmp_path / "p.jsonl"))
    assert (problem.id, problem.problem) == ("\U0001f600", text)


def test_an_id_given_twice_is_refused(tmp_path):
    line = json.dumps({"id": "a7", "problem": "x", "answer": "y"}) + "\n"
    (tmp_path / "p.jsonl").write_text(f"{line}\n{line}")
    with pytest.raises(UserError, match="two problems with the id 'a7', on lines 1 and 3"):
        load_problems(str(tmp_path / "p.jsonl"))


def test_another_encoding_is_named(tmp_path):
    (tmp_path / "p.jsonl").write_bytes('{"id": 1, "problem": "café"}'.encode("latin-1"))
    with pytest.raises(UserError, match=r"p\.jsonl is not UTF-8"):
        load_problems(str(tmp_path / "p.jsonl"))


def test_a_limit_is_no_more_than_a_synthetic_set_has():
    assert load_problems("synthetic/test", 10**6) == load_problems("synthetic/test")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "p.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no problem"):
        load_problems(str(tmp_path / "p.jsonl"))
