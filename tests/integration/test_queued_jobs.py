"""How many jobs the lists hold: in jobs, whoever pushed them, and bounded in what is read for it."""

from __future__ import annotations

from typing import Any

from celery import Celery

from tasks.contract import TASK_NAME, queue_for
from tasks.envelope import Job, encode, encode_batch
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.store.keys import KeyNames
from worker.store.metrics import snapshot
from worker.store.queued_jobs import Samples, queued_jobs
from worker.store.scripts import Scripts

KEYS = KeyNames("aigc", "aigc:results")


def single(number: int) -> bytes:
    return encode(Job(f"job-{number}", CAT), "aigc")


def batch(jobs: int, number: int = 0) -> bytes:
    return encode_batch([Job(f"job-{number}-{each}", CAT) for each in range(jobs)], "aigc", f"batch-{number}")


def test_a_short_list_is_counted_exactly(redis_server: RedisServer) -> None:
    """Messages of many jobs among those of one; what no worker could read is one message to see to."""
    client: Any = redis_server.client()
    client.lpush("aigc", *[single(number) for number in range(30)], batch(50), batch(7), b"no message")
    client.lpush("aigc.low", single(1))
    assert queued_jobs(client, ["aigc", "aigc.low", "aigc.high"]) == {
        "aigc": 88, "aigc.low": 1, "aigc.high": 0,
    }  # fmt: skip


def test_a_long_list_of_equal_messages_is_counted_exactly(redis_server: RedisServer) -> None:
    """Though only some of it is read."""
    client: Any = redis_server.client()
    client.lpush("aigc", *[batch(3, number) for number in range(2000)])
    size = len(batch(3))
    assert queued_jobs(client, ["aigc"], read_most=100 * size) == {"aigc": 6000}
    assert int(client.info("commandstats")["cmdstat_lrange"]["calls"]) > 2


def test_a_long_list_is_sampled_all_along_it(redis_server: RedisServer) -> None:
    """Where its ends are of another kind than what lies between them, too."""
    client: Any = redis_server.client()
    middle = [batch(50, number) for number in range(400)]
    ends = [single(number) for number in range(300)]
    client.rpush("aigc", *ends, *middle, *ends)
    (counted,) = queued_jobs(client, ["aigc"], read_most=400 * len(single(1))).values()
    assert abs(counted - 20_600) < 0.15 * 20_600


def test_no_more_is_read_where_both_ends_mislead(redis_server: RedisServer) -> None:
    """A night's batches between single jobs of before and after: a scrape must not fetch all of them."""
    client: Any = redis_server.client()
    middle, ends = [batch(50, number) for number in range(300)], [single(number) for number in range(5)]
    client.rpush("aigc", *ends, *middle, *ends)
    most, before = 30 * len(middle[0]), client.info("stats")["total_net_output_bytes"]
    assert abs(queued_jobs(client, ["aigc"], read_most=most)["aigc"] - 15_010) < 0.15 * 15_010
    assert client.info("stats")["total_net_output_bytes"] - before < 2 * most


def test_a_very_long_list_is_not_looked_into_each_time(redis_server: RedisServer) -> None:
    """Redis goes along all of it to a message in its middle: what was seen stands for a minute."""
    client: Any = redis_server.client()
    now = [0.0]
    samples = Samples(long=1000, clock=lambda: now[0])

    def looked(expected: int) -> bool:
        before = int(client.info("commandstats").get("cmdstat_lrange", {"calls": 0})["calls"])
        assert queued_jobs(client, ["aigc"], read_most=10_000, samples=samples) == {"aigc": expected}
        return int(client.info("commandstats").get("cmdstat_lrange", {"calls": 0})["calls"]) > before

    client.lpush("aigc", *[batch(3, number) for number in range(1000)])
    assert [looked(3000), looked(3000)] == [True, False]
    client.lpush("aigc", batch(3))
    assert not looked(3003)
    now[0] = 60.0
    assert looked(3003)
    client.lpush("aigc", *[batch(3, number) for number in range(1500)])
    assert looked(7503)
    client.ltrim("aigc", 0, 9)
    assert looked(30)


def test_lists_are_told_by_priority_and_by_celerys_name(redis_server: RedisServer) -> None:
    """Those that Celery's priorities make among them."""
    client: Any = redis_server.client()
    client.lpush(queue_for("aigc", "high"), batch(4))
    client.lpush(queue_for("aigc", "low"), single(1))
    with Celery("shop", broker=redis_server.url, set_as_current=False) as shop:
        for priority in (0, 2, 3, 8):
            shop.send_task(TASK_NAME, args=[CAT], queue="aigc", priority=priority)
    scripts = Scripts(redis_server.url, (KEYS.queue, KEYS.results), connections=2)
    try:
        found = snapshot(scripts, KEYS)
    finally:
        scripts.close()
    assert sum(found.queued.values()) == 9
    assert (found.queued["high"], found.queued["low"]) == (4, 1)
    assert found.queue_lengths == {"aigc": 4, "aigc.high": 4, "aigc.low": 1}
    assert found.queued["normal"] + found.queued["3"] + found.queued["6"] + found.queued["9"] == 4
