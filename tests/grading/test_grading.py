"""The grader on the table of grading_table.py, on real gold answers, and under attack."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.grading_table import ANSWERS
from support.grading_table_attacks import ATTACKS, REFUSED, STATED
from support.grading_table_completions import COMPLETIONS, HOSTILE
from support.small import ROOT

from gxpo.grading import final_answer, is_correct, limits
from gxpo.grading.limits import Worker, equal_within_limits
from gxpo.problems import load_problems

DATA = ROOT.parent / "shared" / "data"
SUITES = {
    "math500": 500,
    "amc23": 40,
    "gsm8k": 1319,
    "minerva": 272,
    "olympiadbench": 675,
    "aime24": 30,
}
NEEDS_COMPUTING = ("x^2+2x+1", "(x+1)^2")
HANGING = (r"\sum_{k=1}^{5} kx", "9^{9^{9^{9}}}")  # sums go to math-verify, which computes


def rows(table):
    return [
        pytest.param(*row, id=f"{name}: {row[0][:40]!a} ~ {row[1][:40]!a}")
        for name, entries in table.items()
        for row in entries
    ]


@pytest.mark.parametrize(("gold", "given", "equal"), rows(ANSWERS) + rows(ATTACKS) + rows(REFUSED))
def test_answers(gold, given, equal):
    assert is_correct(f"\\boxed{{{given}}}", gold) is equal


@pytest.mark.parametrize(("completion", "gold", "equal"), rows(COMPLETIONS) + rows(STATED))
def test_completions(completion, gold, equal):
    assert is_correct(completion, gold) is equal


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_wrong_and_its_worker_lives_on(name, workdir, monkeypatch):
    """Against an expression, because a number would settle some of them without computing."""
    equal_within_limits(*NEEDS_COMPUTING)
    monkeypatch.setattr(limits, "CPU_SECONDS", 0.3)
    worker = limits._worker.process.pid
    before = time.process_time()
    assert not is_correct(HOSTILE[name], r"\sqrt{7}+y")
    # This process must not work on it: quadratic regular expressions would take minutes for 1 MB.
    assert time.process_time() - before < 5
    assert limits._worker.process.pid == worker
    assert not any(Path().iterdir())


def test_the_table_is_large_enough():
    assert sum(map(len, [*ANSWERS.values(), *COMPLETIONS.values(), HOSTILE])) >= 250


@pytest.mark.skipif(not DATA.is_dir(), reason="the real problem files are not on this machine")
@pytest.mark.parametrize("suite", SUITES)
def test_real_gold_answers_equal_themselves(suite):
    problems = load_problems(str(DATA / f"{suite}.jsonl"))
    assert len(problems) == SUITES[suite]
    answers = [p.answer for p in problems]
    for statement in (r"\boxed{%s}", "The answer is %s.", "The answer is $$%s$$", "#### %s"):
        assert [a for a in answers if not is_correct(statement % a, a)] == []
    # Two gold answers hold a stray dollar: between dollars they are not what they were.
    plain = [a for a in answers if not re.search(r"\$[^$,]*\w[^$]*(\$|$)", a.replace(r"\$", ""))]
    assert len(answers) - len(plain) <= 30
    assert [a for a in plain if not is_correct(f"So the answer is ${a}$.", a)] == []


def test_a_long_gold_answer_equals_itself_and_nothing_else():
    gold = ", ".join(f"({i}, {i + 1})" for i in range(200))
    assert len(gold) > 1000
    assert is_correct(f"\\boxed{{{gold}}}", gold)
    assert is_correct(f"\\boxed{{{gold.replace(' ', '')}}}", gold)
    assert not is_correct(f"\\boxed{{{gold}, 1}}", gold)


def test_final_answer_is_the_text_as_it_stands():
    assert final_answer(r"\boxed{1} and \boxed{\frac{a}{\sqrt{b}}}.") == r"\frac{a}{\sqrt{b}}"
    assert final_answer(r"\boxed{\left\{1\right.}") == r"\left\{1\right."
    assert final_answer("nothing") is None


def test_the_time_limit_is_processor_time_and_leaves_no_child(monkeypatch):
    assert equal_within_limits(*NEEDS_COMPUTING)
    worker = limits._worker.process.pid
    used = children_cpu(worker)
    with monkeypatch.context() as patch:
        patch.setattr(limits, "CPU_SECONDS", 0.5)
        assert not equal_within_limits(*HANGING)
    assert 0.4 < children_cpu(worker) - used < 2.5
    assert limits._worker.process.pid == worker
    assert Path(f"/proc/{worker}/task/{worker}/children").read_text() == ""  # not even a zombie
    assert equal_within_limits(*NEEDS_COMPUTING)


def children_cpu(pid):
    """Seconds of processor time that a process's reaped children took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def test_the_memory_limit_holds():
    """In a small process as the worker is one: this one has torch, which takes more already."""
    script = (
        "from gxpo.grading.worker import MEMORY_BYTES as limit, _limited\n"
        "for size in (limit // 4, limit):\n"
        "    print(_limited(lambda: len(bytearray(size)) > 0, 10, 20))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False"]


def test_the_wall_limit_ends_what_only_waits():
    from gxpo.grading.worker import _limited

    start = time.monotonic()
    assert not _limited(lambda: time.sleep(300) is None, 10, 0.2)
    assert time.monotonic() - start < 60


def test_a_worker_that_is_gone_or_stuck_is_replaced_and_the_answer_graded():
    gone = None

    class Impatient(Worker):
        def _exchange(self, question, seconds):
            return super()._exchange(question, 0.5 if self.process.pid == gone else seconds)

    worker = Impatient()
    try:
        assert worker.ask(*NEEDS_COMPUTING)
        for number in (signal.SIGKILL, signal.SIGSTOP):
            gone = worker.process.pid
            os.kill(gone, number)
            assert worker.ask(*NEEDS_COMPUTING)
            assert worker.process.pid != gone
            assert not Path(f"/proc/{gone}").exists()
    finally:
        worker.stop()


def test_a_worker_that_dies_again_and_again_costs_two_starts_and_a_warning(monkeypatch):
    starts = []

    class Dying(Worker):
        def _wait_until_ready(self):
            super()._wait_until_ready()
            starts.append(1)
            self.process.kill()
            self.process.wait()

    with pytest.warns(UserWarning, match="grading worker died twice"):
        assert not Dying().ask(*NEEDS_COMPUTING)
    assert len(starts) == 2


def test_a_worker_started_early_is_the_one_that_is_asked_unless_it_died():
    worker = Worker()
    try:
        worker.launch()
        early = worker.process.pid
        assert worker.ask(*NEEDS_COMPUTING)
        assert worker.process.pid == early
        worker.stop()
        worker.launch()
        worker.process.kill()
        worker.process.wait()
        assert worker.ask(*NEEDS_COMPUTING)
    finally:
        worker.stop()


def test_a_signal_to_the_whole_job_makes_no_answer_wrong():
    """The training process finishes its step with the worker, and only then stops."""
    assert equal_within_limits(*NEEDS_COMPUTING)
    asked = limits._worker.process.pid
    for number in (signal.SIGTERM, signal.SIGUSR1):
        os.kill(asked, number)
        assert equal_within_limits(*NEEDS_COMPUTING)
    assert limits._worker.process.pid == asked


def test_a_worker_that_cannot_start_is_an_error_and_not_a_wrong_answer(monkeypatch):
    monkeypatch.setattr(limits.sys, "executable", "/bin/false")
    monkeypatch.setattr(limits, "_worker", Worker())
    with pytest.raises(RuntimeError, match="grading worker did not start"):
        is_correct(r"\boxed{x+0}", "y")


def grade_in_a_child(_):
    verdicts = [equal_within_limits(*NEEDS_COMPUTING), equal_within_limits(*HANGING)]
    return verdicts, os.getpid(), limits._worker.process.pid


@pytest.mark.parametrize(("method", "processes"), [("fork", 2), ("spawn", 1)])
def test_processes_of_a_pool_have_workers_of_their_own(method, processes, monkeypatch):
    monkeypatch.setattr(limits, "CPU_SECONDS", 1.5)
    assert equal_within_limits(*NEEDS_COMPUTING)
    ours = limits._worker.process.pid
    with multiprocessing.get_context(method).Pool(processes) as pool:
        results = pool.map(grade_in_a_child, range(processes), chunksize=1)
    assert all(verdicts == [True, False] for verdicts, _, _ in results)
    assert len({child for _, child, _ in results}) == len({theirs for *_, theirs in results})
    assert ours not in {theirs for *_, theirs in results}
    assert limits._worker.process.pid == ours
    assert equal_within_limits(*NEEDS_COMPUTING)
    wait_until(lambda: not any(Path(f"/proc/{theirs}").exists() for *_, theirs in results))


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_data_loader_with_forked_workers_grades():
    from torch.utils.data import DataLoader

    assert equal_within_limits(*NEEDS_COMPUTING)
    given = [r"\boxed{(x+1)^2}", r"\boxed{(x+2)^2}", "7", r"\boxed{1+2x+x^2}"]
    loader = DataLoader(given, num_workers=1, batch_size=None, collate_fn=grade_polynomial)
    assert list(loader) == [True, False, False, True]


def grade_polynomial(completion):
    return is_correct(completion, "x^2+2x+1")


def test_threads_share_the_worker():
    verdicts = {}

    def grade(i):
        verdicts[i] = is_correct(f"\\boxed{{x+x+{i}}}", f"2x+{i - i % 2}")

    threads = [threading.Thread(target=grade, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == {i: i % 2 == 0 for i in range(8)}


def test_the_same_hanging_answer_costs_its_limit_once(monkeypatch):
    monkeypatch.setattr(limits, "CPU_SECONDS", 0.5)
    asked = []
    ask = Worker.ask
    monkeypatch.setattr(Worker, "ask", lambda self, *pair: asked.append(pair) or ask(self, *pair))
    for _ in range(20):
        assert not is_correct(rf"\boxed{{{HANGING[1]}}}", HANGING[0])
    assert len(asked) == 1
