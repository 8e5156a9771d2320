"""Tasks are followed to their one output through kills of workers and of Redis, and at one rate for all."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tasks.contract import DEFAULT_QUEUE
from tests.integration.followed import (
    assert_one_output_each,
    enqueue,
    follows,
    keeps,
    open_tasks,
    wait_for_outputs,
)
from tests.integration.stage import Stage, staged, until
from tests.redis_server import RedisServer

LEASED_S = 60.0
"""A dead worker's tasks fall due again within 20 s."""


@pytest.fixture
def stage(own_redis_server: RedisServer) -> Iterator[Stage]:
    with staged(own_redis_server) as stage:
        yield stage


def test_the_tasks_of_a_killed_worker_are_followed_by_others(stage: Stage) -> None:
    """It is killed while it asks: its leases end, and each task has one output."""
    stage.vendor.set("rules", rules=["query_hang(60)"])
    victim = follows(stage, READ_TIMEOUT_S="60")
    jobs = enqueue(stage, 8)
    until(lambda: stage.vendor.get("queries")["queries"] >= 8, "queries under way")
    victim.kill()
    stage.vendor.set("rules", rules=[])
    assert len(open_tasks(stage)) == 8
    follows(stage)
    wait_for_outputs(stage, 8, 2 * LEASED_S)
    assert_one_output_each(stage, jobs)


def test_a_worker_that_is_killed_while_it_keeps_a_file_leaves_one_file(stage: Stage) -> None:
    """Another one fetches it again, under the same name."""
    stage.vendor.set("rules", rules=["file_hang(60)"])
    victim = keeps(stage)
    jobs = enqueue(stage, 3)
    until(lambda: stage.vendor.get("queries")["queries"] >= 3, "links to be known")
    time.sleep(0.5)  # that it fetches by now is likely, and not needed
    victim.kill()
    stage.vendor.set("rules", rules=[])
    keeps(stage)
    found = wait_for_outputs(stage, 3, 2 * LEASED_S)
    assert_one_output_each(stage, jobs)
    assert len({output["file"] for output in found}) == 3


def test_kills_of_workers_lose_no_task(stage: Stage) -> None:
    """Two workers, one of which is killed now and then: as many outputs as jobs, none twice."""
    workers = [keeps(stage), keeps(stage)]
    jobs = enqueue(stage, 60, running=1)
    until(lambda: len(stage.results()) == 60, "all to be bought: a kill amid that leaves jobs unknown")
    for number in range(4):
        wait_for_outputs(stage, 12 * number, 2 * LEASED_S)
        workers[number % 2].kill()
        workers[number % 2] = keeps(stage)
    wait_for_outputs(stage, 60, 2 * LEASED_S)
    assert_one_output_each(stage, jobs)


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
    jobs = enqueue(stage, 100)
    wait_for_outputs(stage, 100)
    assert_one_output_each(stage, jobs)
    found = stage.vendor.get("queries?window_s=1")
    assert found["busiest_window"] <= 20
    assert len(found["arrivals"]) >= 100


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
    until(lambda: time.monotonic() - at > 4, "some seconds to pass")
    assert stage.vendor.get("queries")["queries"] - begun <= 20 / 4 * (time.monotonic() - at) + 5
