"""Three workers are replaced one after the other while jobs keep coming, as a deployment does it."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from tasks.contract import DEFAULT_QUEUE
from tasks.envelope import Job, encode, encode_batch
from tests.conditions import until
from tests.integration.stage import Stage, Worker, staged, text
from tests.redis_server import RedisServer

WORKERS: Final = 3
CONCURRENCY: Final = 8
JOBS_A_STEP: Final = 90
SLOW: Final = "[[slow(700)*1]]"
"""The vendor takes its time for these: some are in flight whenever a worker is told to stop."""


@pytest.fixture
def stage(redis_server: RedisServer) -> Iterator[Stage]:
    with staged(redis_server) as stage:
        stage.vendor.set("latency", latency_ms=10)
        yield stage


class Shop:
    """Enqueues jobs, single and in batches, a few of them twice, and knows how each has to end."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._rng = random.Random(7)
        self.expected: dict[str, str] = {}

    def enqueue(self, jobs: int) -> None:
        while jobs > 0:
            part = [self._order() for _ in range(self._rng.choice([1, 1, 1, 12]))]
            jobs -= len(part)
            if len(part) == 1:
                message = encode(part[0], DEFAULT_QUEUE)
            else:
                message = encode_batch(part, DEFAULT_QUEUE, str(uuid.uuid4()))
            self._stage.redis.lpush(DEFAULT_QUEUE, *[message] * self._rng.choice([1] * 9 + [2]))

    def _order(self) -> Job:
        drawn = self._rng.random()
        rule, ends = "", "submitted"
        if drawn < 0.2:
            rule = SLOW
        elif drawn > 0.95:
            rule = "[[sys_error*1]]"
        elif drawn > 0.9:
            rule, ends = "[[param_error*1]]", "rejected"
        job = Job(str(uuid.uuid4()), text(f"{rule} {uuid.uuid4()}"))
        self.expected[job.id] = ends
        return job


def _start(stage: Stage) -> Worker:
    return stage.worker(CONCURRENCY=CONCURRENCY, READ_TIMEOUT_S=30)


def _in_flight(stage: Stage) -> int:
    return int(stage.vendor.get("stats")["in_flight"])


def _roll(stage: Stage, shop: Shop, killed: int | None) -> None:
    """Replace each worker in its turn, by SIGTERM, and one of them by SIGKILL."""
    workers = [_start(stage) for _ in range(WORKERS)]
    until(lambda: len(stage.living()) == WORKERS, "the workers")
    for place, old in enumerate(workers):
        shop.enqueue(JOBS_A_STEP)
        until(lambda: _in_flight(stage) >= WORKERS, "slow answers")
        if place == killed:
            old.kill()
            _start(stage)
        else:
            old.process.terminate()
            _start(stage)  # while the old one finishes
            assert old.process.wait(60) == 0, old.output()[-3000:]
    shop.enqueue(JOBS_A_STEP)
    until(lambda: {each["jobId"] for each in stage.results()} >= shop.expected.keys(), "all results")
    stage.drain()


def _bought_twice(stage: Stage) -> list[str]:
    bills = Counter(post["sha256"] for post in stage.vendor.get("ledger"))
    return [sha256 for sha256, times in bills.items() if times > 1]


def test_a_rolling_restart_loses_nothing_and_doubles_nothing(stage: Stage) -> None:
    """Each job has one result, as the vendor answered it; none is in doubt: what was sent is finished."""
    shop = Shop(stage)
    _roll(stage, shop, killed=None)
    assert Counter(result["jobId"] for result in stage.results()) == dict.fromkeys(shop.expected, 1)
    assert {result["jobId"]: result["status"] for result in stage.results()} == shop.expected
    billed = stage.vendor.get("ledger")
    assert len(billed) == sum(ends == "submitted" for ends in shop.expected.values())
    assert _bought_twice(stage) == []
    told = {result["taskId"] for result in stage.results() if result["taskId"]}
    assert told == {post["taskId"] for post in billed}


def test_one_that_is_killed_meanwhile_costs_a_question_at_most(stage: Stage) -> None:
    """Only what it was sending may end unknown; nothing is lost, bought twice or bought unseen."""
    shop = Shop(stage)
    _roll(stage, shop, killed=1)
    results = {result["jobId"]: result for result in stage.results()}
    assert Counter(result["jobId"] for result in stage.results()) == dict.fromkeys(shop.expected, 1)
    unknown = {job_id for job_id, result in results.items() if result["status"] == "unknown"}
    assert len(unknown) <= CONCURRENCY
    assert {job_id: ends for job_id, ends in shop.expected.items() if job_id not in unknown} == {
        job_id: result["status"] for job_id, result in results.items() if job_id not in unknown
    }
    assert _bought_twice(stage) == []
    told = {result["taskId"] for result in results.values() if result["taskId"]}
    hidden = {post["taskId"] for post in stage.vendor.get("ledger")} - told
    assert len(hidden) <= len(unknown)
