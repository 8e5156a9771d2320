"""The loop's thread, what becomes of messages, and those who wait for one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from tasks.contract import BATCH_TASK_NAME, TASK_NAME
from tasks.envelope import Job
from tests.unit.processing.fakes import (
    CAT,
    HTTP_ACCEPTED,
    AtOnce,
    Clock,
    FakeClient,
    FakeJobStore,
    FakeReporter,
    FakeSlots,
    claim_of,
    surroundings,
)
from worker.domain.message import Message
from worker.domain.outcome import Outcome, OutcomeKind
from worker.processing import loop as loop_module
from worker.processing.loop import Loop
from worker.processing.values import Disposition
from worker.store.jobs import ClaimRequest
from worker.store.queue import MessageQueue
from worker.store.redis_wait import StoreClosed
from worker.store.values import Acknowledgement, ClaimVerdict, Decision, Release, Settlement, WriteReply

PATIENCE_S = 20.0


class FakeQueue:
    """Keeps which messages are done with, and lets a test wait for that."""

    def __init__(self) -> None:
        self.done_with: list[str] = []
        self.jobs_done: list[str] = []
        self._changed = threading.Condition()

    def done(self, name: str) -> None:
        with self._changed:
            self.done_with.append(name)
            self._changed.notify_all()

    def job_done(self, name: str) -> None:
        self.jobs_done.append(name)

    def until_done(self, messages: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.done_with) >= messages, PATIENCE_S)


class Parts:
    """A loop whose vendor answers each request as soon as it has come, unless it `hangs`."""

    def __init__(self, helpers: Any = None) -> None:
        self.store, self.reporter, self.queue = FakeJobStore(), FakeReporter(), FakeQueue()
        self.client, self.failed = FakeClient(), threading.Event()
        self.helpers = helpers or AtOnce()
        self.around = surroundings(self.store, self.reporter, FakeSlots(), Clock())
        self.around.first_attempt.answered(Outcome(OutcomeKind.ACCEPTED, from_application=True))
        self.loop = Loop(
            self.around, cast(MessageQueue, self.queue), self.client, self.helpers, self.failed.set
        )
        self.hangs = False
        self.sent = threading.Event()
        send = self.client.send

        def answering(connection: Any, *request: Any) -> Any:
            exchange = send(connection, *request)
            if not self.hangs:
                self.client.answer_on(connection)
            self.sent.set()
            return exchange

        self.client.send = answering  # type: ignore[assignment,method-assign]

    def answer(self) -> None:
        """The vendor answers what is out."""
        for theirs in self.client.theirs:
            theirs.sendall(HTTP_ACCEPTED)

    def accept(self, *tags: str, owner: str = "me") -> None:
        self.loop.accept([message(f"{owner}/{tag}", f"job-{tag}") for tag in tags])


def message(name: str, job_id: str, jobs: int = 1) -> Message:
    args: list[Any] = [CAT]
    if jobs > 1:
        args = [[{"id": f"{job_id}-{i}", "payload": CAT} for i in range(jobs)]]
    task = BATCH_TASK_NAME if jobs > 1 else TASK_NAME
    return Message(job_id, task, name, (args, {}, {}), {}, jobs, None, None)


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts()
    yield parts
    parts.loop.join()
    parts.client.close()


def test_a_message_is_done_with_once_its_job_is_settled(parts: Parts) -> None:
    """Settling has deleted it."""
    parts.accept("1.1")
    parts.queue.until_done(1)
    assert [type(each) for each in parts.store.told] == [Settlement]
    assert parts.queue.done_with == ["me/1.1"]


def test_a_message_of_many_is_acknowledged_once_all_are_done(parts: Parts) -> None:
    """Its jobs are settled without it."""
    parts.loop.accept([message("me/1.1", "many", jobs=3)])
    parts.queue.until_done(1)
    *settled, done = parts.store.told
    assert [each.delivery.tag for each in cast(list[Settlement], settled)] == ["", "", ""]
    assert done == Acknowledgement("me", "1.1")
    assert parts.queue.jobs_done == ["me/1.1"] * 3


def test_a_round_that_does_not_end_is_a_trouble_and_waiting_is_none(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health looks at that: the heartbeat has a thread of its own, and goes on."""
    monkeypatch.setattr(loop_module, "STANDSTILL_S", 0.0)
    assert parts.loop.trouble() == ""
    stands, go_on = threading.Event(), threading.Event()

    def stand(request: ClaimRequest) -> Any:
        stands.set()
        go_on.wait(PATIENCE_S)
        return claim_of(request)

    parts.store.claim = stand
    parts.accept("1.1")
    assert stands.wait(PATIENCE_S)
    assert "no job has gone on for" in parts.loop.trouble()
    go_on.set()
    parts.queue.until_done(1)
    parts.loop.join()
    assert parts.loop.trouble() == ""


def test_messages_go_back_together_and_in_their_order(parts: Parts) -> None:
    """Each to its holder, the first one last: it is put where it is read next."""
    parts.store.claim = lambda request: claim_of(request, ClaimVerdict.PAUSED)
    parts.loop._inbox.append([])
    inbox, parts.loop._thread = parts.loop._inbox, threading.current_thread()
    parts.accept("1.1", "1.2")
    parts.accept("1.3", owner="my old name")
    parts.loop._thread = None
    assert len(inbox) == 4
    parts.accept("1.4")
    parts.queue.until_done(4)
    assert parts.store.told == [Release("me", ("1.4", "1.2", "1.1")), Release("my old name", ("1.3",))]
    assert set(parts.queue.done_with) == {"me/1.1", "me/1.2", "my old name/1.3", "me/1.4"}


def test_who_waits_for_a_message_is_told_what_becomes_of_it(parts: Parts) -> None:
    """And sees to it."""
    assert parts.loop.process("me/1.1", [Job("a", CAT)], None) is Disposition.SETTLED
    assert parts.queue.done_with == []


def test_a_loop_that_has_ended_keeps_nobody_waiting(parts: Parts) -> None:
    """Neither those who came before, nor those who come after; their messages stay."""
    parts.loop.process("me/1.1", [Job("a", CAT)], None)
    parts.loop.join()
    with pytest.raises(StoreClosed):
        parts.loop.process("me/1.2", [Job("b", CAT)], None)
    parts.accept("1.3")
    assert len(parts.store.told) == 1


def test_a_worker_that_stops_finishes_what_is_in_flight(parts: Parts) -> None:
    """And gives back what comes afterwards."""
    parts.hangs = True
    parts.accept("1.1")
    assert parts.sent.wait(PATIENCE_S)
    parts.loop.stop()
    parts.accept("1.2")
    parts.queue.until_done(1)
    assert parts.queue.done_with == ["me/1.2"]
    parts.answer()
    parts.loop.join()
    assert parts.queue.done_with == ["me/1.2", "me/1.1"]


def test_a_worker_that_took_nothing_stops_at_once() -> None:
    """There is no thread to wait for."""
    parts = Parts()
    parts.loop.join()
    assert parts.loop._thread is None


def test_a_slot_that_is_free_is_asked_for(parts: Parts) -> None:
    """The watcher says so, in its own thread."""
    asked_full = threading.Event()

    def full(request: Any) -> Any:
        asked_full.set()
        return claim_of(request, ClaimVerdict.FULL)

    parts.store.claim = full
    parts.accept("1.1")
    assert asked_full.wait(PATIENCE_S)
    parts.store.claim = claim_of
    parts.loop.wake()
    parts.queue.until_done(1)


def test_a_redis_that_stays_away_ends_the_loop(parts: Parts) -> None:
    """What was answered is kept in the in-flight log, and who waits is told."""
    parts.store.given_up = True
    parts.store.decide = lambda _: ConnectionError("away")
    with pytest.raises(StoreClosed):
        parts.loop.process("me/1.1", [Job("a", CAT)], None)
    assert len(parts.around.inflight.known().answered) == 1
    assert not parts.failed.is_set()


def test_a_loop_that_ends_by_a_fault_writes_down_what_was_decided(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in flight is heard still; the worker ends."""
    parts.hangs = True
    parts.accept("1.1")
    assert parts.sent.wait(PATIENCE_S)
    monkeypatch.setattr(parts.loop._pipeline, "advance", lambda: 1 / 0)
    parts.loop.wake()
    assert parts.failed.wait(PATIENCE_S)
    parts.answer()
    parts.queue.until_done(1)
    assert [type(each) for each in parts.store.told] == [Settlement]
    with pytest.raises(StoreClosed):
        parts.loop.process("me/1.2", [Job("b", CAT)], None)


def test_a_fault_that_goes_on_leaves_the_rest_to_the_in_flight_log(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop ends all the same."""

    def fault(decision: Decision) -> WriteReply:
        raise ZeroDivisionError

    parts.store.decide = fault
    with pytest.raises(StoreClosed):
        parts.loop.process("me/1.1", [Job("a", CAT)], None)
    assert len(parts.around.inflight.known().answered) == 1
    assert parts.failed.is_set()


def test_a_message_that_is_stuck_is_let_go(parts: Parts) -> None:
    """It stays in Redis, and is found there later."""
    parts.loop._finisher("me/1.1")(Disposition.STUCK)
    assert (parts.queue.done_with, parts.store.told) == (["me/1.1"], [])


def test_a_thread_that_cannot_start_is_started_with_the_next_message(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job waits for ever for want of one thread."""

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError):
            parts.accept("1.1")
    parts.accept("1.2")
    parts.queue.until_done(2)


def test_connections_are_opened_by_helpers() -> None:
    """The loop is woken when one is open, and sends over it."""
    with ThreadPoolExecutor(2) as helpers:
        parts = Parts(helpers)
        parts.accept("1.1", "1.2")
        parts.queue.until_done(2)
        parts.loop.join()
    parts.client.close()  # not before the helpers are done: one may be opening yet
    assert sorted(parts.queue.done_with) == ["me/1.1", "me/1.2"]
