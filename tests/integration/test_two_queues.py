"""Two shops on one Redis, each with a queue of its own: neither gets a result of the other's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import tasks
from tasks import results
from tests.conditions import until
from tests.integration.stage import Stage, staged, text
from tests.redis_server import RedisServer

SHOPS = ("shop-a", "shop-b")


@pytest.fixture
def stage(redis_server: RedisServer) -> Iterator[Stage]:
    with staged(redis_server) as stage:
        for queue in SHOPS:
            stage.worker(QUEUE=queue)
        yield stage
    tasks.configure()


def test_each_has_results_of_its_own(stage: Stage) -> None:
    """With nothing but the queue's name set, for workers, producers and consumers alike."""
    jobs = {}
    for queue in SHOPS:
        tasks.configure(redis_url=stage.server.url, queue=queue)
        jobs[queue] = tasks.submit(text(queue))
    for queue in SHOPS:
        tasks.configure(redis_url=stage.server.url, queue=queue)
        (result,) = until(lambda: list(results.replay(follow=False)), "the result")
        assert (result.job_id, result.status, result.queue) == (jobs[queue], "submitted", queue)


def test_a_message_says_which_queue_it_is_of(stage: Stage) -> None:
    """A channel is one for all databases, and two queues may share it on purpose."""
    with stage.listening("shop-a:results") as heard:
        tasks.configure(redis_url=stage.server.url, queue="shop-a")
        tasks.submit({"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": {}}, unlisted=True)
        (message,) = until(heard, "the message")
    assert json.loads(message)["queue"] == "shop-a"
