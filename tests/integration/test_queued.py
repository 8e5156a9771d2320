"""All jobs whose messages are in Redis are found, also where a message moves meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from tasks.cancel_many import cancel_workflow
from tasks.contract import lists_read_as
from tasks.envelope import Job, encode
from tasks.queued import queued
from tests.integration.desk import KEYS
from tests.integration.stage import CAT
from tests.redis_server import RedisServer

LISTS = tuple(chain.from_iterable(lists_read_as(KEYS.queue)))
RAW = encode(Job("a-job", CAT), KEYS.queue)
UNACKED, BACKLOG = KEYS.unacked("a-worker"), KEYS.backlog("TEXT2IMAGE")
Happens = Callable[[], object]


class Moving:
    """A client of Redis; before the n-th read of these keys something happens."""

    def __init__(self, client: Any, keys: tuple[str, ...], number: int, happens: Happens) -> None:
        self._client, self._keys, self._left, self._happens = client, keys, number, happens

    def __getattr__(self, name: str) -> Any:
        def call(key: str, *args: Any, **kwargs: Any) -> Any:
            if key in self._keys:
                self._left -= 1
                if not self._left:
                    self._happens()
            return getattr(self._client, name)(key, *args, **kwargs)

        return call


def put(client: Any, place: str) -> None:
    if place == "list":
        client.lpush(KEYS.queue, RAW)
    elif place == "hands":
        client.zadd(KEYS.workers, {"a-worker": 1})
        client.hset(UNACKED, "1.1", RAW)
    elif place == "backlog":
        client.sadd(KEYS.backlogs, "TEXT2IMAGE")
        client.lpush(BACKLOG, b"1|" + RAW)
    else:
        client.hset(KEYS.delayed_messages, "a-job", b"1|" + RAW)


def take(client: Any, place: str) -> None:
    keys = {"list": KEYS.queue, "hands": UNACKED, "backlog": BACKLOG, "delayed": KEYS.delayed_messages}
    client.delete(keys[place])


@pytest.mark.parametrize(
    ("start", "end"),
    [
        *(("list", "hands"), ("hands", "backlog"), ("hands", "delayed"), ("hands", "list")),
        *(("backlog", "list"), ("delayed", "list")),
    ],
)
def test_a_message_is_found_though_it_moves(redis_server: RedisServer, start: str, end: str) -> None:
    """Whenever it does: before or after any of the places is read."""
    client: Any = redis_server.client()
    places = (*LISTS, KEYS.backlogs, BACKLOG, KEYS.workers, UNACKED, KEYS.delayed_messages)
    for number in range(1, 50):
        client.flushall()
        put(client, "hands")
        take(client, "hands")
        put(client, start)

        def move() -> None:
            take(client, start)
            put(client, end)

        found = list(queued(Moving(client, places, number, move), KEYS.queue))
        assert {job.job_id for job in found if job} == {"a-job"}, number


def test_a_message_that_cannot_be_read_is_counted_once(redis_server: RedisServer) -> None:
    """In a worker's hands, too, which are looked into twice."""
    client: Any = redis_server.client()
    client.lpush(KEYS.queue, b"nothing")
    client.hset(KEYS.delayed_messages, "b", b"1|nothing")
    assert list(queued(client, KEYS.queue)) == [None, None]


def test_a_job_that_a_worker_ends_meanwhile_is_counted_once(redis_server: RedisServer) -> None:
    """Its message is met again: in the worker's hands, and because it does not say when it was sent."""
    client: Any = redis_server.client()
    client.flushall()
    put(client, "hands")
    raw = encode(Job("another", CAT), KEYS.queue)

    def end() -> None:
        client.hdel(KEYS.job("a-job"), "c")
        client.hset(KEYS.job("a-job"), mapping={"s": "cancelled", "z": 9e12})

    client.lpush(KEYS.queue, *[raw] * 3)
    done = cancel_workflow(Moving(client, (UNACKED,), 3, end), KEYS.queue, "TEXT2IMAGE")
    assert (done.cancelled, done.in_flight, done.bought) == (2, 0, 0)
