"""Redis goes away, comes back, fills up: the worker waits, goes on, and nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import redis

from tests.conditions import until
from tests.integration.stage import Stage, faulty, logged, staged
from tests.redis_server import RedisServer

AWAY = "Redis is away"


@pytest.fixture
def stage(own_redis_server: RedisServer) -> Iterator[Stage]:
    with staged(own_redis_server) as stage:
        yield stage


def results_beyond(stage: Stage, count: float) -> bool:
    return len(stage.results()) > count


def restart(stage: Stage) -> None:
    """Kill Redis, and start it again when its worker has noticed."""
    (worker,) = stage.workers
    noticed = worker.output().count(AWAY)
    stage.server.kill()
    until(lambda: worker.output().count(AWAY) > noticed, "the worker to notice")
    stage.server.start()


def test_an_idle_worker_goes_on_after_a_restart(stage: Stage) -> None:
    """Redis killed and started again under an idle worker, twice: the next job is done each time."""
    worker = stage.worker()
    stage.result(stage.enqueue(faulty()))
    for _ in range(2):
        restart(stage)
        assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
    assert worker.process.poll() is None
    assert worker.terminate() == 0


def test_redis_dies_while_jobs_are_in_flight(stage: Stage) -> None:
    """What the vendor accepted meanwhile is told once Redis is back: one POST, one result each."""
    stage.worker(READ_TIMEOUT_S=10)
    stage.vendor.set("latency", latency_ms=3000)
    payloads = [faulty() for _ in range(8)]
    stage.result(stage.enqueue(faulty()))
    jobs = [stage.enqueue(payload) for payload in payloads]
    until(lambda: stage.vendor.get("stats")["in_flight"] == 8, "the POSTs")
    stage.server.kill()
    until(lambda: stage.vendor.get("stats")["in_flight"] == 0, "the answers")
    stage.server.start()
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    stage.drain()
    assert [len(stage.vendor.posts_of(payload)) for payload in payloads] == [1] * 8
    assert [len(stage.results_of(job)) for job in jobs] == [1] * 8


def test_redis_dies_while_jobs_wait(stage: Stage) -> None:
    """The waiting set is in Redis' file: a retry that was due meanwhile comes late, not never, not twice."""
    stage.worker()
    payload = faulty("throttle*3")
    job = stage.enqueue(payload)
    until(lambda: stage.vendor.posts_of(payload), "the first POST")
    restart(stage)
    assert stage.result(job)["status"] == "submitted"
    stage.drain()
    assert len(stage.vendor.posts_of(payload)) == 4


def test_restarts_under_load(stage: Stage) -> None:
    """Three kills of Redis amid hundreds of jobs: one result each, none accepted twice."""
    stage.worker(CONCURRENCY=8, READ_TIMEOUT_S=30)
    stage.vendor.set("latency", latency_ms=5, jitter_ms=10)
    jobs = [stage.enqueue(faulty("sys_error:5%")) for _ in range(300)]
    for part in (0.2, 0.4, 0.6):
        until(partial(results_beyond, stage, part * len(jobs)), "some results")
        stage.server.kill()
        stage.server.start()
    until(lambda: len(stage.results()) >= len(jobs), "all results")
    stage.drain()
    assert sorted(result["jobId"] for result in stage.results()) == sorted(jobs)
    assert [result for result in stage.results() if result["status"] != "submitted"] == []
    stats = stage.vendor.get("stats")
    assert (stats["duplicates"], stats["accepted"]) == (0, len(jobs))


def test_a_worker_that_starts_before_redis(stage: Stage) -> None:
    """It waits for Redis, then works."""
    stage.server.kill()
    worker = stage.worker()
    logged(worker, "Connection refused")
    stage.server.start()
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"


def test_sigterm_before_redis_was_ever_there(stage: Stage) -> None:
    """A worker that has never reached Redis ends with 0 when it is told to."""
    stage.server.kill()
    worker = stage.worker()
    logged(worker, "Connection refused")
    assert worker.terminate() == 0


def test_sigterm_while_redis_is_away(stage: Stage) -> None:
    """An idle worker ends with 0 although it cannot say goodbye."""
    worker = stage.worker()
    stage.result(stage.enqueue(faulty()))
    stage.server.kill()
    logged(worker, AWAY)
    assert worker.terminate() == 0


def test_sigterm_with_an_answer_that_cannot_be_told(stage: Stage) -> None:
    """A worker that has to end while Redis is away leaves the paid task id to the next one on its machine."""
    worker = stage.worker()
    payload = faulty("slow(500)")
    job = stage.enqueue(payload)
    until(lambda: stage.vendor.posts_of(payload), "the POST")
    stage.server.kill()
    until(lambda: stage.vendor.get("stats")["in_flight"] == 0, "the answer")
    assert worker.terminate() == 0
    stage.server.start()
    stage.worker()
    assert stage.result(job)["status"] == "submitted"
    assert len(stage.vendor.posts_of(payload)) == 1


def test_a_hanging_redis(stage: Stage) -> None:
    """A Redis that answers nothing for a while is waited for like one that is gone."""
    worker = stage.worker()
    stage.result(stage.enqueue(faulty()))
    payloads = [faulty() for _ in range(5)]
    jobs = [stage.enqueue(payload) for payload in payloads]
    assert stage.server.pid
    os.kill(stage.server.pid, signal.SIGSTOP)
    try:
        logged(worker, AWAY)
    finally:
        os.kill(stage.server.pid, signal.SIGCONT)
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    stage.drain()
    assert [len(stage.vendor.posts_of(payload)) for payload in payloads] == [1] * 5


def test_every_connection_cut_again_and_again(stage: Stage) -> None:
    """TCP resets while Redis is up re-deliver nothing and double nothing."""
    stage.worker(CONCURRENCY=8)
    stage.vendor.set("latency", latency_ms=20)
    jobs = [stage.enqueue(faulty()) for _ in range(200)]
    for part in (0.1, 0.3, 0.5, 0.7):
        until(partial(results_beyond, stage, part * len(jobs)), "some results")
        stage.redis.client_kill_filter(_type="normal", skipme=True)
        stage.redis.client_kill_filter(_type="pubsub", skipme=True)
    until(lambda: len(stage.results()) >= len(jobs), "all results")
    stage.drain()
    assert len(stage.results()) == len(jobs)
    assert stage.vendor.get("stats")["duplicates"] == 0


def test_redis_is_full(stage: Stage) -> None:
    """Under `noeviction` a full Redis refuses writes: the worker waits, and goes on when there is room."""
    worker = stage.worker()
    stage.result(stage.enqueue(faulty()))
    payloads = [faulty("slow(300)") for _ in range(5)]
    jobs = [stage.enqueue(payload) for payload in payloads]
    stage.redis.config_set("maxmemory", "1")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        stage.enqueue(faulty())
    logged(worker, "maxmemory")
    stage.redis.config_set("maxmemory", "0")
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    stage.drain()
    assert [len(stage.vendor.posts_of(payload)) for payload in payloads] == [1] * 5
    assert worker.process.poll() is None
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"


def test_redis_is_read_only_for_a_while(stage: Stage) -> None:
    """A failover makes a Redis read-only: the worker does not exit, and goes on afterwards."""
    worker = stage.worker()
    stage.result(stage.enqueue(faulty()))
    job = stage.enqueue(faulty("slow(300)"))
    stage.redis.replicaof("127.0.0.1", "9")
    until(lambda: "READONLY" in worker.output() or "read only" in worker.output(), "the worker to notice")
    stage.redis.replicaof("NO", "ONE")
    assert stage.result(job)["status"] == "submitted"
    assert worker.process.poll() is None
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"


def test_redis_forgets_everything(stage: Stage) -> None:
    """After FLUSHALL the worker takes a new name and does what is queued from then on."""
    stage.worker()
    stage.result(stage.enqueue(faulty()))
    stage.redis.flushall()
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
    stage.drain()


def test_idle_connections_that_redis_closes_are_no_outage(stage: Stage) -> None:
    """Redis's own `timeout` closes them every second; nobody is told that Redis is away, for it is not."""
    redis: Any = stage.redis
    redis.config_set("timeout", 1)
    worker = stage.worker()
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"

    def made() -> int:
        return int(redis.info("stats")["total_connections_received"])

    before = made()
    until(lambda: made() > before + 8, "connections to be made again")
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
    assert AWAY not in worker.output()
