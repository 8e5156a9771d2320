"""Flow control: closed for reasons, each for its time, open when none is left."""

from __future__ import annotations

import threading

import pytest

from worker.processing.flow_control import AT_HAND, WAITING_ENOUGH, FlowControl


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flow_control(clock: Clock) -> FlowControl:
    return FlowControl(clock=clock)


def test_open_at_first(flow_control: FlowControl) -> None:
    """Nothing speaks against taking jobs."""
    assert flow_control.wait_open(0)
    assert flow_control.reasons() == []


def test_each_reason_ends_for_itself(flow_control: FlowControl, clock: Clock) -> None:
    """Two reasons keep it closed until both are over, one by time and one by word."""
    flow_control.close("vendor", 10)
    flow_control.close("operator")
    clock.now += 10
    assert flow_control.reasons() == ["operator"]
    assert not flow_control.wait_open(0)
    flow_control.open("operator")
    assert flow_control.wait_open(0)


def test_closing_again_begins_anew(flow_control: FlowControl, clock: Clock) -> None:
    """The newest word counts, longer or shorter."""
    flow_control.close("vendor", 10)
    flow_control.close("vendor", 1)
    clock.now += 1
    assert flow_control.wait_open(0)


def test_opening_for_a_reason_that_is_none(flow_control: FlowControl) -> None:
    """Nothing happens."""
    flow_control.open("nobody said so")
    assert flow_control.wait_open(0)


def test_narrow_is_one_at_a_time(flow_control: FlowControl) -> None:
    """While any reason makes it narrow there is room for one job, and for none beside it."""
    flow_control.narrow("unproven", True)
    flow_control.narrow("brake", True)
    flow_control.narrow("brake", False)
    assert (flow_control.room(0), flow_control.room(1), flow_control.room(3)) == (1, 0, -2)
    flow_control.narrow("unproven", False)
    assert flow_control.room(3) is None


def test_only_a_few_jobs_wait_for_the_limits(flow_control: FlowControl, clock: Clock) -> None:
    """Where the limits bind, jobs that wait for them are few; those being sent do not count."""
    flow_control.limits_bind()
    assert flow_control.room(WAITING_ENOUGH) == 0
    flow_control.set_in_flight(1)
    assert flow_control.room(WAITING_ENOUGH) == 1
    flow_control.set_in_flight(0)
    assert flow_control.room(WAITING_ENOUGH) == 0
    clock.now += 60
    assert flow_control.room(WAITING_ENOUGH) is None


def test_limits_that_do_not_bind_leave_room_for_some_at_once(clock: Clock) -> None:
    """Jobs that are sent as soon as they are here may be taken together, and are not asked for one by one."""
    flow_control = FlowControl(limited=True, clock=clock)
    assert (flow_control.room(0), flow_control.room(AT_HAND // 2)) == (AT_HAND, AT_HAND // 2)
    assert flow_control.room(AT_HAND // 2 + 1) == 0
    flow_control.limits_bind()
    assert flow_control.room(0) == WAITING_ENOUGH


def test_sending_makes_room_known_where_limits_bind() -> None:
    """Who waits for room is told that a job has left the waiting ones."""
    flow_control = FlowControl(limited=True)
    flow_control.set_in_flight(1)
    assert flow_control.room_made.is_set()


def test_opening_wakes_who_waits() -> None:
    """A thread that waits for it goes on at once, not at the end of its patience."""
    flow_control = FlowControl()
    flow_control.close("operator")
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(flow_control.wait_open(60)))
    waiter.start()
    flow_control.open("operator")
    waiter.join(10)
    assert answers == [True]
