"""Whoever looks through all that is queued meets each message, though workers move them meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
import redis

import tasks
from tasks.contract import DEFAULT_QUEUE
from tasks.queued import queued
from tests.integration.stage import CAT
from tests.redis_server import RedisServer

WORKER = "worker-1"
LIST, HELD, DELAYED = DEFAULT_QUEUE, f"{DEFAULT_QUEUE}:unacked:{WORKER}", f"{DEFAULT_QUEUE}:waiting:messages"
PUT: dict[str, Callable[[redis.Redis, bytes], object]] = {
    LIST: lambda client, raw: client.rpush(LIST, raw),
    HELD: lambda client, raw: client.hset(HELD, "1.1", raw),
    DELAYED: lambda client, raw: client.hset(DELAYED, "job", b"1|" + raw),
}


class Moving:
    """A client that moves the message just before one of its commands."""

    def __init__(self, client: redis.Redis, before: int, move: Callable[[], None]) -> None:
        self._client, self._before, self._move = client, before, move
        self.commands = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def command(*args: Any, **options: Any) -> Any:
            if self.commands == self._before:
                self._move()
            self.commands += 1
            return getattr(self._client, name)(*args, **options)

        return command


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    tasks.configure(redis_url=redis_server.url)
    client = redis_server.client()
    client.zadd(f"{DEFAULT_QUEUE}:workers", {WORKER: 1})
    yield client
    tasks.configure()


@pytest.mark.parametrize(
    ("source", "target"), [(LIST, HELD), (HELD, LIST), (HELD, DELAYED), (DELAYED, LIST), (LIST, DELAYED)]
)
def test_a_message_that_moves_meanwhile_is_met(client: redis.Redis, source: str, target: str) -> None:
    """Whenever it does: before the first command of the search, before each, and after the last."""
    job = tasks.submit(CAT)
    raw = client.lpop(LIST)
    assert isinstance(raw, bytes)

    def move() -> None:
        client.delete(source)
        PUT[target](client, raw)

    for before in count():
        client.delete(LIST, HELD, DELAYED)
        PUT[source](client, raw)
        moving = Moving(client, before, move)
        found = [each.job_id for each in queued(moving, DEFAULT_QUEUE) if each]
        assert set(found) == {job}, f"moved before command {before}"
        if moving.commands <= before:
            break
    assert moving.commands > 5
