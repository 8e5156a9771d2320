"""The gate: closed for reasons, each for its time, open when none is left."""

from __future__ import annotations

import threading

import pytest

from worker.gate import AT_HAND, WAITING_ENOUGH, Gate


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate(clock=clock)


def test_open_at_first(gate: Gate) -> None:
    """Nothing speaks against taking jobs."""
    assert gate.wait_open(0)
    assert gate.reasons() == []


def test_each_reason_ends_for_itself(gate: Gate, clock: Clock) -> None:
    """Two reasons keep it closed until both are over, one by time and one by word."""
    gate.close("vendor", 10)
    gate.close("operator")
    clock.now += 10
    assert gate.reasons() == ["operator"]
    assert not gate.wait_open(0)
    gate.open("operator")
    assert gate.wait_open(0)


def test_closing_again_begins_anew(gate: Gate, clock: Clock) -> None:
    """The newest word counts, longer or shorter."""
    gate.close("vendor", 10)
    gate.close("vendor", 1)
    clock.now += 1
    assert gate.wait_open(0)


def test_opening_for_a_reason_that_is_none(gate: Gate) -> None:
    """Nothing happens."""
    gate.open("nobody said so")
    assert gate.wait_open(0)


def test_narrow_is_one_at_a_time(gate: Gate) -> None:
    """While any reason makes it narrow there is room for one job, and for none beside it."""
    gate.narrow("unproven", True)
    gate.narrow("brake", True)
    gate.narrow("brake", False)
    assert (gate.room(0), gate.room(1), gate.room(3)) == (1, 0, -2)
    gate.narrow("unproven", False)
    assert gate.room(3) is None


def test_only_a_few_jobs_wait_for_the_limits(gate: Gate, clock: Clock) -> None:
    """Where the limits bind, jobs that wait for them are few; those being sent do not count."""
    gate.limits_bind()
    assert gate.room(WAITING_ENOUGH) == 0
    with gate.sending():
        assert gate.room(WAITING_ENOUGH) == 1
    assert gate.room(WAITING_ENOUGH) == 0
    clock.now += 60
    assert gate.room(WAITING_ENOUGH) is None


def test_limits_that_do_not_bind_leave_room_for_some_at_once(clock: Clock) -> None:
    """Jobs that are sent as soon as they are here may be taken together, and are not asked for one by one."""
    gate = Gate(limited=True, clock=clock)
    assert (gate.room(0), gate.room(AT_HAND // 2)) == (AT_HAND, AT_HAND // 2)
    assert gate.room(AT_HAND // 2 + 1) == 0
    gate.limits_bind()
    assert gate.room(0) == WAITING_ENOUGH


def test_a_thread_that_fails_while_it_sends_counts_no_more(gate: Gate) -> None:
    """An error leaves no job counted as being sent."""
    gate.limits_bind()
    with pytest.raises(RuntimeError), gate.sending():
        raise RuntimeError
    assert gate.room(WAITING_ENOUGH) == 0


def test_sending_makes_room_known_where_limits_bind() -> None:
    """Who waits for room is told that a job has left the waiting ones."""
    gate = Gate(limited=True)
    with gate.sending():
        assert gate.room_made.is_set()


def test_opening_wakes_who_waits() -> None:
    """A thread at the closed gate goes on at once, not at the end of its patience."""
    gate = Gate()
    gate.close("operator")
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(gate.wait_open(60)))
    waiter.start()
    gate.open("operator")
    waiter.join(10)
    assert answers == [True]
