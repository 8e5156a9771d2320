"""What `./dev chaos` found, each as small as it can be told."""

from __future__ import annotations

import time

from tests.integration.stage import staged, text, until
from tests.redis_server import RedisServer


def test_a_second_delivery_of_an_ended_job_leaves_nothing_behind(redis_server: RedisServer) -> None:
    """The message of a job that has ended is deleted, and not held and delivered again and again."""
    with staged(redis_server) as stage:
        stage.worker()
        stage.result(stage.enqueue(text("a cat"), "twice"))
        stage.enqueue(text("a cat"), "twice")
        until(stage.idle, "the second message to go", 8)


def test_a_job_that_always_fails_is_not_the_only_probe(redis_server: RedisServer) -> None:
    """While the brake is on another job probes next, so that a poisoned one cannot keep it on."""
    with staged(redis_server) as stage:
        now = round(time.time() * 1000)
        breaker = {"open": 1, "since": now, "interval": 500, "next": now}
        stage.redis.hset("aigc:brake", mapping=breaker)
        stage.worker()
        stage.enqueue(text("[[sys_error]]"))
        until(lambda: stage.vendor.posts >= 2, "two probes")
        healthy = [stage.enqueue(text(f"a healthy job {number}")) for number in range(3)]
        until(lambda: {result["jobId"] for result in stage.results()} >= set(healthy), "the others", 20)
