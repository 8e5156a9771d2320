"""Duties by turns in one thread: none starves another, and a stop waits for the one under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from unittest.mock import Mock, patch

from worker.maintenance import janitor as janitors
from worker.maintenance.heartbeat import Heartbeat
from worker.maintenance.janitor import PAGES_A_TURN, Janitor
from worker.maintenance.scheduler import Duty, Scheduler
from worker.store.workers import WorkerRegistry

PATIENCE_S = 30.0


def scheduler(*duties: Callable[[], object], every_s: float = 600.0) -> Scheduler:
    return Scheduler("tested", [Duty(duty, every_s) for duty in duties], ready=lambda: True)


def test_a_heap_that_never_ends_is_cleared_by_bounded_turns() -> None:
    """The others of the thread have their turn in between."""
    prune, other = Mock(return_value=True), Mock(return_value=None)
    janitor = Janitor(Mock(), Mock(), keep_s=60)
    turns = Scheduler("tested", [Duty(janitor.prune, 600.0), Duty(other, 0.0)], ready=lambda: True)
    with patch.object(janitors, "prune", prune):
        turns.tick()
        turns.tick()
    assert (prune.call_count, other.call_count) == (2 * PAGES_A_TURN, 2)


def test_a_turn_ends_with_the_heap() -> None:
    """Where there is nothing to prune one page is asked for, and the next one after ten minutes."""
    prune = Mock(return_value=False)
    turns = scheduler(Janitor(Mock(), Mock(), keep_s=60).prune)
    with patch.object(janitors, "prune", prune):
        turns.tick()
        turns.tick()
    assert prune.call_count == 1


def test_the_heart_beats_while_other_duties_take_long() -> None:
    """It has a thread of its own."""
    beaten, released = threading.Semaphore(0), threading.Event()
    registry = Mock(spec=WorkerRegistry, owner="a-worker")
    registry.beat.side_effect = lambda *_: beaten.release()
    others = scheduler(released.wait)
    heartbeat = Heartbeat(registry, lambda: True, refusal=lambda: "", trouble=lambda: "", outage=Mock())
    others.start()
    heartbeat.start()
    try:
        assert beaten.acquire(timeout=PATIENCE_S)
    finally:
        released.set()
        assert heartbeat.stop()
        assert others.stop()


def test_a_stop_waits_for_what_is_under_way() -> None:
    """A beat that ends after the goodbye would announce a worker that is gone."""
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def beat() -> None:
        begun.set()
        go_on.wait(PATIENCE_S)
        done.set()

    beating = scheduler(beat)
    beating.start()
    assert begun.wait(PATIENCE_S)
    threading.Timer(0.05, go_on.set).start()
    assert beating.stop()
    assert done.is_set()


def test_one_that_was_never_started_is_stopped_at_once() -> None:
    """A worker that ends before it has begun has nothing to wait for."""
    assert scheduler(Mock()).stop()


def test_a_duty_that_fails_is_due_again_and_holds_up_nothing() -> None:
    """Whatever it raises."""
    failing, other = Mock(side_effect=[ZeroDivisionError, None]), Mock(return_value=None)
    turns = scheduler(failing, other)
    for _ in range(3):
        turns.tick()
    assert (failing.call_count, other.call_count) == (2, 1)


def test_a_stop_begins_no_other_duty() -> None:
    """Not even one that is due in the same tick."""
    second = Mock()
    turns = scheduler(lambda: turns.stop(), second)
    turns.tick()
    assert second.call_count == 0
