"""Redis's clock steps back, or a new primary's is behind: nothing waits for as long as the step.

A server's clock cannot be set here, so what a clock that was ahead would have left is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conditions import until
from tests.integration.desk import KEYS
from tests.integration.stage import Stage, faulty, staged
from tests.redis_server import RedisServer
from worker.store.delayed import promote
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts

STEP_MS = 300_000


@pytest.fixture
def stage(redis_server: RedisServer) -> Iterator[Stage]:
    """Of the tests that do without workers."""
    with staged(redis_server) as made:
        yield made


@pytest.fixture
def scripts(stage: Stage) -> Iterator[Scripts]:
    keys = KeyNames("aigc", "aigc:results")
    made = Scripts(stage.server.url, (keys.queue, keys.results), connections=2)
    yield made
    made.close()


def now_ms(stage: Stage) -> int:
    second, micros = stage.redis.time()
    return int(second * 1000 + micros // 1000)


def was_ahead(stage: Stage) -> int:
    """The clock has been ahead by the step until now; what it showed last."""
    ahead = now_ms(stage) + STEP_MS
    stage.redis.hset(KEYS.clock, "last", ahead)
    return ahead


def test_a_slot_of_the_old_clock_does_not_hold_up_the_new_one(stage: Stage) -> None:
    """With a rate limit jobs are sent at once, and the step is said, once."""
    stage.redis.set(KEYS.rate, was_ahead(stage) + 50)
    stage.redis.set(KEYS.workflow_rate("TEXT2IMAGE"), now_ms(stage) + STEP_MS)
    worker = stage.worker(RATE_PER_S=20)
    jobs = [stage.enqueue(faulty()) for _ in range(10)]
    assert {stage.result(job, 25)["status"] for job in jobs} == {"submitted"}
    until(lambda: "clock stepped back by" in worker.output(), "the step to be said")
    assert worker.terminate() == 0
    assert worker.output().count("clock stepped back by") == 1


def test_a_reserved_slot_of_the_old_clock_is_not_waited_for(stage: Stage) -> None:
    """A job that was given a slot before the step gets another."""
    ahead = was_ahead(stage)
    stage.redis.hset(KEYS.job("a-job"), mapping={"s": "reserved", "e": ahead - 50, "w": ahead + 1000})
    stage.worker(RATE_PER_S=20)
    assert stage.result(stage.enqueue(faulty(), "a-job"), 25)["status"] == "submitted"


def test_a_probe_of_the_old_clock_is_due(stage: Stage) -> None:
    """The breaker is open and the vendor healthy again: that is found out at once."""
    ahead = was_ahead(stage)
    breaker = {"open": 1, "since": ahead - 1000, "interval": 4000, "next": ahead + 4000}
    stage.redis.hset(KEYS.breaker, mapping=breaker | {"probe": "gone", "probing": ahead + 40_000})
    stage.worker()
    assert stage.result(stage.enqueue(faulty()), 25)["status"] == "submitted"
    until(lambda: not stage.redis.hget(KEYS.breaker, "open"), "the breaker to close")


def test_what_slows_all_workers_down_does_not_do_so_for_the_step(stage: Stage) -> None:
    """A Retry-After that the vendor gave before the step is over."""
    ahead = was_ahead(stage)
    stage.redis.hset(
        KEYS.adaptive_rate, mapping={"rate": 50, "since": ahead, "until": ahead + 1000, "grows": 1}
    )
    stage.worker()
    assert stage.result(stage.enqueue(faulty()), 25)["status"] == "submitted"


def test_the_mark_of_a_refusal_does_not_outlive_it_by_the_step(stage: Stage) -> None:
    """Redis refused to settle a job and was mended; the mark's time to live is of the old clock."""
    was_ahead(stage)
    stage.redis.set(KEYS.refusing, "XADD aigc:results", px=6000 + STEP_MS)
    stage.worker()
    assert stage.result(stage.enqueue(faulty()), 25)["status"] == "submitted"


def test_due_times_move_with_the_clock(stage: Stage, scripts: Scripts) -> None:
    """All of them, in their order and distances, however many there are; and only by that one step."""
    ahead = was_ahead(stage)
    jobs = {f"job-{number}": ahead + 3_600_000 + number for number in range(4500)}
    stage.redis.zadd(KEYS.delayed, jobs)
    stepped = [promote(scripts).stepped_back_s for _ in range(5)]
    assert 299 < stepped[0] < 301
    assert stepped[1:] == [0.0] * 4
    due = dict(stage.redis.zrange(KEYS.delayed, 0, -1, withscores=True))
    steps = {round(jobs[name.decode()] - score) for name, score in due.items()}
    assert len(due) == 4500
    assert max(steps) - min(steps) == 0
    assert STEP_MS - 1000 < steps.pop() <= STEP_MS


def test_a_clock_that_goes_on_is_no_step(stage: Stage, scripts: Scripts) -> None:
    """Nor is one that steps forward, or back by less than it may be corrected by in passing."""
    for last in (now_ms(stage) - STEP_MS, now_ms(stage) + 500):
        stage.redis.hset(KEYS.clock, "last", last)
        stage.redis.set(KEYS.rate, "5")
        assert promote(scripts).stepped_back_s == 0.0
        assert stage.redis.get(KEYS.rate) == b"5"
