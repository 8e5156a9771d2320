"""Tasks are followed to their one output through kills of workers and of Redis, and at one rate for all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tasks.contract import DEFAULT_QUEUE
from tests.conditions import until
from tests.integration.followed import (
    assert_one_each,
    assert_one_output_each,
    ended,
    enqueue,
    follows,
    keeps,
    open_tasks,
    outputs,
    task_record,
    wait_for_outputs,
)
from tests.integration.stage import Stage, staged
from tests.redis_server import RedisServer

LEASED_S = 60.0
"""A dead worker's tasks fall due again within 20 s."""


@pytest.fixture
def stage(own_redis_server: RedisServer) -> Iterator[Stage]:
    with staged(own_redis_server) as stage:
        yield stage


class Killed:
    """A worker was killed while it asked and while it kept files, and then others, now and then.

    The leases of all of them end in one stretch of time.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        victim = keeps(stage, READ_TIMEOUT_S="60")
        self.asked, self.kept = enqueue(stage, 8, "query_hang(60)*1"), enqueue(stage, 3, "file_hang(60)*1")
        until(lambda: _struck(stage, "hang") == 8, "queries under way")
        until(lambda: len(_known_links(stage)) == 3, "links to be known")
        victim.kill()
        self.open_at_the_kill = open_tasks(stage)
        workers = [keeps(stage), keeps(stage)]
        self.more = enqueue(stage, 60, running=1)
        until(lambda: len(stage.results()) == 71, "all to be bought: a kill amid that leaves jobs unknown")
        for number in range(4):
            wait_for_outputs(stage, 12 * number, 2 * LEASED_S)
            workers[number % 2].kill()
            workers[number % 2] = keeps(stage)
        with suppress(AssertionError):  # each test looks whether it was its own that did not come
            ended(stage, [*self.asked, *self.kept, *self.more], 2 * LEASED_S)

    def assert_one_output_each(self, jobs: list[str]) -> list[dict[str, Any]]:
        """There is one of each of these jobs' tasks, and none of no job's; gives them."""
        ended(self.stage, jobs)
        found = outputs(self.stage)
        assert {each["jobId"] for each in found} <= {*self.asked, *self.kept, *self.more}
        of_jobs = [each for each in found if each["jobId"] in jobs]
        assert_one_each(self.stage, jobs, of_jobs)
        until(lambda: not open_tasks(self.stage), "no task to be open")
        return of_jobs


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    with RedisServer() as server, staged(server) as stage:
        yield Killed(stage)


def _struck(stage: Stage, kind: str) -> int:
    return int(stage.vendor.get("queries")["by_outcome"].get(kind, 0))


def _known_links(stage: Stage) -> list[str]:
    """The tasks whose file is being kept: the link is noted right before."""
    return [each for each in open_tasks(stage) if b"u" in task_record(stage, each)]


def test_the_tasks_of_a_killed_worker_are_followed_by_others(killed: Killed) -> None:
    """It is killed while it asks: its leases end, and each task has one output."""
    assert len(killed.open_at_the_kill) == 8 + 3
    killed.assert_one_output_each(killed.asked)


def test_a_worker_that_is_killed_while_it_keeps_a_file_leaves_one_file(killed: Killed) -> None:
    """Another one fetches it again, under the same name."""
    found = killed.assert_one_output_each(killed.kept)
    assert len({output["file"] for output in found}) == 3


def test_kills_of_workers_lose_no_task(killed: Killed) -> None:
    """Two workers, one of which is killed now and then: as many outputs as jobs, none twice."""
    killed.assert_one_output_each(killed.more)


def test_a_restart_of_redis_loses_no_task(stage: Stage) -> None:
    """It is killed, and comes back with what is in its append-only file."""
    keeps(stage)
    jobs = enqueue(stage, 40, running=1)
    for share in (0, 15, 30):
        wait_for_outputs(stage, share)
        stage.server.kill()
        time.sleep(0.3)
        stage.server.start()
    wait_for_outputs(stage, 40, 2 * LEASED_S)
    assert_one_output_each(stage, jobs)


def test_in_no_second_there_are_more_queries_than_the_rate(stage: Stage) -> None:
    """Of three workers together, in any second, though all tasks are due at once."""
    for _ in range(3):
        follows(stage, QUERY_RATE_PER_S="20")
    until(lambda: len(stage.living()) == 3, "three workers")
    jobs = enqueue(stage, 60)
    wait_for_outputs(stage, 60)
    assert_one_output_each(stage, jobs)
    found = stage.vendor.get("queries?window_s=1")
    # After a moment's standstill of this machine some arrive at once; at a rate of each worker's own all do.
    assert found["busiest_window"] <= 30
    assert len(found["arrivals"]) >= 60
    assert found["arrivals"][59] - found["arrivals"][0] > 59 / 24


def test_submits_go_first_while_the_vendor_throttles_them(stage: Stage) -> None:
    """Queries take a quarter of their rate then."""
    follows(stage, QUERY_RATE_PER_S="20")
    enqueue(stage, 30, running=600)
    until(lambda: len(open_tasks(stage)) == 30, "open tasks")
    stage.redis.hset(f"{DEFAULT_QUEUE}:pace", mapping={"rate": 1000, "since": 0})
    stage.redis.expire(f"{DEFAULT_QUEUE}:pace", 3600)
    for task_id in open_tasks(stage):
        stage.redis.zadd(f"{DEFAULT_QUEUE}:tasks:open", {task_id: 0})
    begun = stage.vendor.get("queries")["queries"]
    at = time.monotonic()
    until(lambda: time.monotonic() - at > 2, "some seconds to pass")
    assert stage.vendor.get("queries")["queries"] - begun <= 20 / 4 * (time.monotonic() - at) + 5
