"""Whether a worker may ask: after a 429, while nothing is answered, while queries are refused."""

from __future__ import annotations

import pytest

from worker.domain.query import (
    NOT_FOUND,
    Pending,
    QueryOutcome,
    Refused,
    TaskUnknown,
    Throttled,
    Unanswered,
)
from worker.following.pace import (
    FAILURES_OPEN,
    NO_BOUND,
    NOT_FOUND_LONGEST_S,
    PROBE_LONGEST_S,
    RETRY_AFTER_MOST_S,
    WORKS_FOR_S,
    Change,
    QueryPace,
)

GOOD = Pending("RUNNING", True)
REFUSED = Refused("AUTH_CHECK_ERROR", "no")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> QueryPace:
    return QueryPace(10.0, clock, jitter=lambda: 1.0)


def ask(pace: QueryPace, outcome: QueryOutcome, task_id: str = "task") -> Change | None:
    pace.begin()
    return pace.heard(task_id, outcome)


def waits(pace: QueryPace, clock: Clock) -> float:
    """For how long no query may begin, told again and again."""
    begun = clock.now
    while pace.allowance()[0] == 0:
        clock.now += pace.allowance()[1]
    return clock.now - begun


def test_nothing_bounds_it_where_all_is_well(pace: QueryPace) -> None:
    """But what all workers share."""
    assert ask(pace, GOOD) is None
    assert pace.allowance() == (NO_BOUND, 0.0)


def test_a_retry_after_is_obeyed_up_to_a_bound(pace: QueryPace, clock: Clock) -> None:
    """Nothing is asked before."""
    ask(pace, Throttled(7.0))
    assert waits(pace, clock) == pytest.approx(7.0)
    ask(pace, Throttled(10**6))
    assert waits(pace, clock) == pytest.approx(RETRY_AFTER_MOST_S)


def test_a_429_halves_the_rate_and_time_brings_it_back(pace: QueryPace, clock: Clock) -> None:
    """One query at a time, half as often; twice as often each half minute."""
    ask(pace, Throttled(0.0))
    clock.now += 0.5
    assert pace.allowance() == (1, 0.0)
    pace.begin()
    gap = pace.allowance()[1]
    assert 0.19 < gap <= 0.2
    clock.now += 60
    assert pace.allowance() == (NO_BOUND, 0.0)


def test_several_429_of_one_moment_halve_it_once(pace: QueryPace, clock: Clock) -> None:
    """Those were sent before the first one was heard; later ones halve it again."""
    for _ in range(5):
        ask(pace, Throttled(0.0))
    clock.now += 1.5
    ask(pace, Throttled(0.0))
    pace.begin()
    assert 0.35 < pace.allowance()[1] <= 0.4


def test_429_without_a_time_wait_longer_each_time(pace: QueryPace, clock: Clock) -> None:
    """Until one is answered."""
    found = []
    for _ in range(4):
        ask(pace, Throttled(None))
        begun = clock.now
        while pace.allowance()[0] == 0 and clock.now - begun < 100:
            clock.now += 0.25
        found.append(clock.now - begun)
    assert found == sorted(found)
    assert found[-1] >= 8


def test_a_refusal_pauses_all_and_one_at_a_time_probes(pace: QueryPace, clock: Clock) -> None:
    """It is news once; probes come ever more seldom, up to a bound."""
    assert ask(pace, REFUSED) is Change.REFUSED
    assert "AUTH_CHECK_ERROR" in pace.trouble()
    gaps = []
    for _ in range(8):
        gaps.append(waits(pace, clock))
        assert pace.allowance() == (1, 0.0)
        pace.begin()
        assert pace.allowance()[0] == 0  # the probe is under way
        assert pace.heard("another", REFUSED) is None
    assert gaps == sorted(gaps)
    assert gaps[-1] == PROBE_LONGEST_S


def test_refusals_of_one_moment_are_one(pace: QueryPace, clock: Clock) -> None:
    """Those were sent before the first one was heard: the first probe comes as soon."""
    for _ in range(16):
        ask(pace, REFUSED)
    assert waits(pace, clock) == pytest.approx(1.0)


def test_a_probe_that_is_answered_ends_the_pause(pace: QueryPace, clock: Clock) -> None:
    """And that is told."""
    ask(pace, REFUSED)
    waits(pace, clock)
    assert ask(pace, GOOD) is Change.HEALED
    assert (pace.trouble(), pace.allowance()) == ("", (NO_BOUND, 0.0))


def test_a_probe_that_is_not_made_is_made_by_the_next(pace: QueryPace, clock: Clock) -> None:
    """Its turn had passed."""
    ask(pace, REFUSED)
    waits(pace, clock)
    pace.begin()
    pace.gave_up()
    assert pace.allowance() == (1, 0.0)


def test_tasks_without_an_answer_in_a_row_open_the_breaker(pace: QueryPace, clock: Clock) -> None:
    """It is told once, and an answer closes it."""
    changes = [ask(pace, Unanswered("away"), f"task-{number}") for number in range(FAILURES_OPEN + 3)]
    assert changes == [None] * (FAILURES_OPEN - 1) + [Change.DOWN] + [None] * 3
    assert pace.allowance()[0] == 0
    assert "away" in pace.trouble()
    waits(pace, clock)
    assert ask(pace, GOOD) is Change.UP
    assert pace.allowance() == (NO_BOUND, 0.0)


def test_one_task_without_an_answer_opens_no_breaker(pace: QueryPace) -> None:
    """Nor do others among which some are answered."""
    for _ in range(3 * FAILURES_OPEN):
        assert ask(pace, Unanswered("nonsense"), "odd") is None
    for number in range(3 * FAILURES_OPEN):
        ask(pace, Unanswered("nonsense"), f"task-{number}")
        ask(pace, GOOD)
    assert pace.allowance() == (NO_BOUND, 0.0)


def test_what_is_not_found_is_the_task_where_others_are_answered(pace: QueryPace, clock: Clock) -> None:
    """For an hour after an answer; before the first one, and later, all queries may be refused."""
    not_found = Refused(NOT_FOUND, "no such task")
    assert pace.read(not_found) == not_found
    ask(pace, GOOD)
    for _ in range(3):
        meant = pace.read(not_found)
        assert meant == TaskUnknown(NOT_FOUND, "no such task")
        assert ask(pace, meant) is None
        clock.now += WORKS_FOR_S / 3
    assert pace.allowance() == (NO_BOUND, 0.0)
    assert pace.read(not_found) == not_found
    assert pace.read(REFUSED) == REFUSED


def test_refused_queries_are_not_taken_for_single_tasks(pace: QueryPace) -> None:
    """While they are refused, what is not found is no news."""
    ask(pace, GOOD)
    ask(pace, REFUSED)
    assert isinstance(pace.read(Refused(NOT_FOUND, "")), Refused)


def test_after_a_task_that_is_not_found_others_are_tried_soon(pace: QueryPace, clock: Clock) -> None:
    """They may be found."""
    for _ in range(10):
        ask(pace, Refused(NOT_FOUND, ""))
        assert waits(pace, clock) <= NOT_FOUND_LONGEST_S
