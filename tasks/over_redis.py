"""The backend of every program outside of its tests: jobs into Redis, results and outputs out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import broker
from .backend import Reading
from .cancellation import cancel_in
from .clients import SOCKET_TIMEOUT_S, new_async_client, new_client, promptly, reported
from .dedupe import holders_in
from .eager import refuse_eager
from .push import Push
from .settings import check_arguments

if TYPE_CHECKING:
    from celery import Celery

    from .batches.over_redis import BatchesOverRedis
    from .reading.drivers import Source
    from .reading.feed import Feed, M

# What reads messages imports asyncio: later, for a program that only queues jobs does not need it.


class OverRedis:
    """Thread-safe; the connections are those of `tasks.broker` and `tasks.loops`."""

    @property
    def batches(self) -> BatchesOverRedis:
        from .batches.over_redis import BatchesOverRedis

        return BatchesOverRedis()

    def check_may_queue(self) -> None:
        refuse_eager()

    def push(self, push: Push) -> list[str]:
        with reported(push.to):
            return push.ids(promptly(lambda: push.to_redis(broker.redis_client())))

    async def push_async(self, push: Push) -> list[str]:
        from .loops import on_loops_client

        with reported(push.to):
            return push.ids(await on_loops_client(push.to_redis))

    def celery_app(self) -> Celery:
        return broker.celery_app()

    def holders(self, keys: Sequence[str]) -> list[str | None]:
        return holders_in(broker.redis_client(), broker.settings().queue, keys)

    def cancel(self, job_id: str) -> bool:
        queue = broker.settings().queue
        with reported(f"{queue}:job:{job_id}"):
            return promptly(lambda: cancel_in(broker.redis_client(), queue, job_id))

    def message(self, feed: Feed[M], of: str) -> M | None:
        from .reading.lookup import look_up

        return look_up(feed, of)

    def wait(self, feed: Feed[M], of: str, timeout_s: float | None) -> M:
        from .reading.waiting import wait

        return wait(feed, of, timeout_s)

    async def wait_async(self, feed: Feed[M], of: str, timeout_s: float | None) -> M:
        from .reading.waiting_async import wait

        return await wait(feed, of, timeout_s)

    def source(self, feed: Feed[M], reading: Reading) -> Source[M]:
        from .reading.drivers import Blocking
        from .reading.readers import GroupReader, StreamReader
        from .reading.sources import Published, Stored

        url, stream = _url(reading.redis_url), feed.name(broker.settings())
        # Longer than the answer to a command takes that itself waits for so long.
        timeout_s = SOCKET_TIMEOUT_S + (0 if reading.way == "listen" else reading.block_ms / 1000)
        client: Any
        if reading.is_async:
            client = new_async_client(url, socket_timeout_s=timeout_s)
        else:
            client = Blocking(new_client(url, socket_timeout_s=timeout_s))
        if reading.way == "listen":
            return Published(feed, client, stream, reading.patience)
        if reading.way == "replay":
            reader: StreamReader | GroupReader = StreamReader(client, stream, reading.start)
        else:
            claim_idle_ms, prefetch = reading.claim_idle_ms, reading.prefetch
            reader = GroupReader(
                client, stream, reading.group, reading.consumer, reading.start, claim_idle_ms, prefetch
            )
        return Stored(feed, client, reader, reading.block_ms, reading.patience)


def _url(redis_url: str | None) -> str:
    if redis_url is None:
        return broker.settings().redis_url
    check_arguments({"redis_url": redis_url})
    return redis_url
