"""The engine beside a store, a vendor and a clock of its own: who is asked, and what is written of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import redis

from tasks.output import Output
from tests.conditions import until
from tests.unit.following.samples import ACCEPTED_MS, open_task
from worker.domain.query import NOT_FOUND, Failed, Pending, QueryOutcome, Refused, Succeeded, Unanswered
from worker.following import follower as module
from worker.following.follower import Follower
from worker.following.pace import QueryPace
from worker.keeping import Finished, Kept, NotKept
from worker.store.redis_wait import Stop, Wait
from worker.store.task_values import EndVerdict, Learned, OpenTask, Taken, TaskEnd

URL = "http://files.example/a.png"
NOW_MS = ACCEPTED_MS + 11_000
NOTHING = Learned()


class Tasks:
    """Gives the tasks that it is told to, once each; notes what is written of them."""

    def __init__(self) -> None:
        self.due: list[OpenTask] = []
        self.postponed: list[tuple[str, float, Learned]] = []
        self.renewed: list[tuple[str, float]] = []
        self.ended: list[TaskEnd] = []
        self.finished: list[str] = []
        self.troubles: list[str] = []
        self.fails: list[Exception] = []
        self.verdict: EndVerdict = "ended"
        self.holds = True
        self.unreadable: tuple[tuple[str, str], ...] = ()
        self.takes = 0

    def take(self, most: int, lease_s: float) -> Taken:
        self.takes += 1
        if self.fails:
            raise self.fails.pop()
        given, self.due = self.due[:most], self.due[most:]
        unreadable, self.unreadable = self.unreadable, ()
        return Taken(NOW_MS, None, tuple(given), unreadable)

    def postpone(self, task: OpenTask, gap_s: float, learned: Learned = NOTHING) -> bool:
        self.postponed.append((task.task_id, gap_s, learned))
        return self.holds

    def renew(self, task: OpenTask, lease_s: float) -> bool:
        self.renewed.append((task.task_id, lease_s))
        return self.holds

    def end(self, task: OpenTask, end: TaskEnd) -> EndVerdict:
        self.ended.append(end)
        return self.verdict

    def finish(self, task: OpenTask) -> EndVerdict:
        self.finished.append(task.task_id)
        return self.verdict

    def note_trouble(self, owner: str, words: str) -> None:
        self.troubles.append(f"{owner}: {words}")

    def forget_trouble(self, owner: str) -> None:
        self.troubles.append(f"{owner}: none")

    def wait(self) -> Wait:
        return Wait("following", Stop())


class Vendor:
    """Answers as it is told to, to one after another; the last answer stays."""

    def __init__(self) -> None:
        self.answers: list[QueryOutcome] = [Succeeded(URL)]
        self.asked: list[str] = []
        self.hangs = threading.Event()
        self.hangs.set()
        self.closed = False

    def ask(self, task_id: str) -> QueryOutcome:
        self.asked.append(task_id)
        self.hangs.wait(20)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self) -> None:
        self.closed = True


class Keeper:
    def __init__(self) -> None:
        self.answers: list[Kept | NotKept] = [Kept("/srv/a.png", "0" * 64, 5, "image/png")]

        self.hangs = threading.Event()
        self.hangs.set()
        self.begun: list[str] = []

    def keep(self, url: str, of: Finished) -> Kept | NotKept:
        self.begun.append(of.task_id)
        self.hangs.wait(20)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Reporter:
    def __init__(self) -> None:
        self.told: list[str] = []

    def output(self, output: Output, asked: int, reason: str = "") -> None:
        self.told.append(f"{output.task_id} {output.status}")

    def queries_refused(self, outcome: Refused) -> None:
        self.told.append(f"refused {outcome.code}")


class Engine:
    """A follower with all that it works with."""

    def __init__(self) -> None:
        self.tasks, self.vendor, self.reporter = Tasks(), Vendor(), Reporter()
        self.keeper: Keeper | None = None
        self.owner = "me"
        self.pace = QueryPace(1000.0)
        self.follower: Follower | None = None

    def start(self) -> None:
        self.follower = Follower(
            self.tasks, self.vendor, self.keeper, self.pace, self.reporter, lambda: self.owner
        )
        self.follower.start()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(module, "IDLE_S", 0.01)
    monkeypatch.setattr(module, "CLOSE_S", 0.3)
    # On a machine that is busy with other tests a turn may have passed before it is seen.
    monkeypatch.setattr(module, "LATE_S", 60.0)
    made = Engine()
    yield made
    made.vendor.hangs.set()
    if made.follower:
        made.follower.close()


def test_each_due_task_is_asked_about_and_ends(engine: Engine) -> None:
    """One output each, told once."""
    engine.tasks.due = [open_task(f"task-{number}") for number in range(40)]
    engine.start()
    until(lambda: len(engine.tasks.ended) == 40)
    until(lambda: len(engine.reporter.told) == 40)
    assert sorted(engine.vendor.asked) == sorted(f"task-{number}" for number in range(40))
    assert set(engine.reporter.told) == {f"task-{number} succeeded" for number in range(40)}


def test_what_has_not_ended_is_asked_about_later(engine: Engine) -> None:
    """With what was learned."""
    engine.vendor.answers = [Pending("RUNNING", True)]
    engine.tasks.due = [open_task()]
    engine.start()
    until(lambda: engine.tasks.postponed)
    ((task_id, gap_s, learned),) = engine.tasks.postponed
    assert (task_id, learned) == ("task-1", Learned(1, "RUNNING"))
    assert 2.0 < gap_s < 3.5


def test_what_another_worker_ended_is_not_told(engine: Engine) -> None:
    """It told so."""
    engine.tasks.verdict = "already"
    engine.tasks.due = [open_task()]
    engine.start()
    until(lambda: engine.tasks.ended)
    engine.follower.close()  # type: ignore[union-attr]
    assert engine.reporter.told == []


def test_a_file_is_kept_under_a_lease(engine: Engine) -> None:
    """Whose renewal notes the link; and what is kept is in the output."""
    engine.keeper = Keeper()
    engine.tasks.due = [open_task()]
    engine.start()
    until(lambda: engine.tasks.ended)
    ((_, _, learned),) = engine.tasks.postponed
    assert (learned.url, learned.asked) == (URL, None)
    assert '"file":"/srv/a.png"' in engine.tasks.ended[0].output_json


def test_a_file_is_not_kept_where_the_lease_is_over(engine: Engine) -> None:
    """Another worker keeps it."""
    engine.keeper, engine.tasks.holds = Keeper(), False
    engine.tasks.due = [open_task()]
    engine.start()
    until(lambda: engine.tasks.postponed)
    engine.follower.close()  # type: ignore[union-attr]
    assert engine.tasks.ended == []


def test_a_file_that_cannot_be_kept_is_a_dead_letter(engine: Engine) -> None:
    """At once where trying again does not help."""
    engine.keeper = Keeper()
    engine.keeper.answers = [NotKept("expired", True)]
    engine.tasks.due = [open_task()]
    engine.start()
    until(lambda: engine.tasks.ended)
    assert engine.tasks.ended[0].is_unstored


def test_what_redis_refused_of_an_end_is_done_without_asking(engine: Engine) -> None:
    """The task has its output already."""
    engine.tasks.due = [open_task(output="{}")]
    engine.start()
    until(lambda: engine.tasks.finished)
    assert engine.vendor.asked == []


def test_a_turn_that_has_passed_is_given_back(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query now would come too close to the next ones."""
    monkeypatch.setattr(module, "LATE_S", -1.0)
    engine.tasks.due = [open_task()]
    engine.start()
    until(lambda: engine.tasks.postponed)
    assert (engine.tasks.postponed[0][1:], engine.vendor.asked) == ((0.0, NOTHING), [])
    assert engine.pace.allowance()[0] > 1


def test_refused_queries_are_told_once_and_noted(engine: Engine) -> None:
    """And taken back once they are taken again."""
    engine.vendor.answers = [Refused("AUTH", "no")]
    engine.tasks.due = [open_task(f"task-{number}") for number in range(5)]
    engine.start()
    until(lambda: engine.tasks.troubles)
    engine.vendor.answers = [Succeeded(URL)]
    engine.tasks.due.append(open_task("probe"))
    until(lambda: "me: none" in engine.tasks.troubles)
    assert engine.reporter.told.count("refused AUTH") == 1
    assert engine.tasks.troubles == ["me: the vendor refuses queries (AUTH: no)", "me: none"]


def test_a_redis_that_is_away_is_waited_for(engine: Engine) -> None:
    """And so is a fault of this program, or of one task."""
    engine.tasks.fails = [redis.ConnectionError("away"), redis.ConnectionError("away")]
    engine.tasks.due = [open_task(metadata=None), open_task()]
    engine.tasks.unreadable = (("task-2", "WRONGTYPE"),)
    engine.start()
    until(lambda: len(engine.tasks.ended) == 1)


def test_a_fault_of_this_program_ends_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on after a pause."""
    monkeypatch.setattr(module, "FAULT_PAUSE_S", 0.01)
    engine.tasks.fails = [KeyError("a fault")]
    engine.tasks.due = [open_task()]
    engine.start()
    until(lambda: engine.tasks.ended)


def test_without_a_name_among_the_workers_nothing_is_taken(engine: Engine) -> None:
    """Nobody could say whose trouble it is."""
    engine.owner = ""
    engine.start()
    time.sleep(0.1)
    assert engine.tasks.takes == 0
    engine.owner = "me"
    until(lambda: engine.tasks.takes)


def test_a_lease_is_renewed_for_as_long_as_an_answer_takes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And given back where the worker ends before it comes."""
    monkeypatch.setattr("worker.following.leases.RENEW_AFTER_S", 0.02)
    engine.vendor.hangs.clear()
    engine.tasks.due = [open_task()]
    engine.start()
    until(lambda: len(engine.tasks.renewed) > 2)
    engine.follower.close()  # type: ignore[union-attr]
    assert engine.tasks.renewed[-1] == ("task-1", 0.0)
    assert engine.vendor.closed


def test_a_task_whose_turn_has_not_come_is_given_back_at_the_end(engine: Engine) -> None:
    """At once, for others."""
    engine.tasks.due = [open_task(wait_s=10.0)]
    engine.start()
    until(lambda: not engine.tasks.due)
    engine.follower.close()  # type: ignore[union-attr]
    until(lambda: engine.tasks.postponed)
    assert engine.tasks.postponed[0][:2] == ("task-1", 0.0)
    assert engine.vendor.asked == []


def test_at_most_so_many_are_asked_about_at_once(engine: Engine) -> None:
    """However many are due: the others stay in Redis."""
    engine.vendor.hangs.clear()
    engine.vendor.answers = [Unanswered("late")]
    engine.tasks.due = [open_task(f"task-{number}") for number in range(100)]
    engine.start()
    until(lambda: len(engine.vendor.asked) == module.THREADS)
    time.sleep(0.05)
    assert len(engine.vendor.asked) == module.THREADS
    assert len(engine.tasks.due) == 100 - module.THREADS


def test_files_that_hang_leave_threads_for_other_tasks(engine: Engine) -> None:
    """Too many at once wait without a try, and what is known of them is written; others are asked about."""
    keeper = engine.keeper = Keeper()
    keeper.hangs.clear()
    engine.tasks.due = [open_task(task_id=f"file-{n}") for n in range(40)]
    engine.start()

    def put_off() -> list[Learned]:
        return [learned for task_id, _, learned in engine.tasks.postponed if task_id not in keeper.begun]

    try:
        until(lambda: len(put_off()) == 40 - module.KEEPS_MOST)
        assert {(each.url, each.keep_tries) for each in put_off()} == {(URL, open_task().keep_tries)}
        engine.vendor.answers = [Failed("FAILED")]
        engine.tasks.due = [open_task(task_id="other")]
        until(lambda: engine.reporter.told == ["other failed"])
    finally:
        keeper.hangs.set()


def test_a_task_that_is_not_found_harms_no_others(engine: Engine) -> None:
    """Where others are answered, it is its own matter: nothing pauses, and it ends as lost."""
    engine.vendor.answers = [Succeeded(URL), Refused(NOT_FOUND, "no such task")]
    engine.tasks.due = [open_task()]
    engine.start()
    until(lambda: engine.tasks.ended)
    engine.tasks.due.append(open_task("gone", deadline_ms=NOW_MS - 1))
    until(lambda: len(engine.reporter.told) == 2)
    assert engine.reporter.told == ["task-1 succeeded", "gone lost"]
    assert engine.pace.trouble() == ""


def test_a_task_for_which_there_is_no_thread_falls_due_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is not renewed by one that does nothing for it, and it costs no thread for good."""
    monkeypatch.setattr(module, "FAULT_PAUSE_S", 0.01)
    monkeypatch.setattr("worker.following.leases.RENEW_AFTER_S", 0.0)
    start, refusals = threading.Thread.start, iter(range(3 * module.THREADS))

    def refused(thread: threading.Thread) -> None:
        if thread.name.startswith("follow_") and next(refusals, None) is not None:
            engine.tasks.due.append(open_task("again"))
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    engine.tasks.due = [open_task(), open_task("other")]
    engine.start()
    until(lambda: engine.tasks.ended)
    assert {task_id for task_id, _ in engine.tasks.renewed} <= {"again"}
