"""Coroutines that wait for messages: one dispatcher of a feed for all of a loop, a task while they do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Generic

from .. import broker
from ..clients import SOCKET_TIMEOUT_S, new_async_client, reported
from ..loops import on_loops_client
from .dispatcher import Dispatcher
from .feed import AnyFeed, Feed, Found, M
from .lookup import found, of_one
from .patience import Patience


class _OfLoop(Generic[M]):
    """A dispatcher and the task that it runs in."""

    def __init__(self, feed: Feed[M]) -> None:
        self._name = f"aigc {feed.noun}"
        client = new_async_client(broker.settings().redis_url, socket_timeout_s=SOCKET_TIMEOUT_S)
        self.dispatcher = Dispatcher(feed, client, partial(_found, feed), Patience(feed.log, None))
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.dispatcher.run(), name=self._name)

    async def stop(self) -> None:
        self.dispatcher.has_ended = True
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=1.0)


_of_loops: dict[tuple[asyncio.AbstractEventLoop, AnyFeed], _OfLoop[Any]] = {}


async def wait(feed: Feed[M], of: str, timeout_s: float | None) -> M:
    """The message about this, once it is there; raises TimeoutError."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[M] = loop.create_future()
    mine, has_to_look = _joined((loop, feed), of, waiter)
    has_looked = False
    try:
        async with asyncio.timeout(timeout_s):
            if has_to_look:
                message, has_looked = await _look_up(feed, of), True
                if message:
                    return message
            return await waiter
    except TimeoutError:
        if not has_looked and (message := await _look_up(feed, of)):  # it was not even subscribed by then
            return message
        raise feed.timed_out(of, timeout_s) from None
    finally:
        if mine.dispatcher.remove(of, waiter):
            if _of_loops.get((loop, feed)) is mine:
                del _of_loops[loop, feed]
            await mine.stop()


def _joined(
    key: tuple[asyncio.AbstractEventLoop, Feed[M]], of: str, waiter: asyncio.Future[M]
) -> tuple[_OfLoop[M], bool]:
    known = _of_loops.get(key)
    if known is not None and known.dispatcher.settings == broker.settings():
        has_to_look = known.dispatcher.add(of, waiter)
        if has_to_look is not None:
            return known, has_to_look
    for closed in [other for other in list(_of_loops) if other[0].is_closed()]:
        _of_loops.pop(closed, None)
    mine = _of_loops[key] = _OfLoop(key[1])
    mine.dispatcher.add(of, waiter)
    mine.start()
    return mine, False


async def _look_up(feed: Feed[M], of: str) -> M | None:
    with reported(feed.name(broker.settings())):
        return of_one(await _found(feed, [of]))


async def _found(feed: Feed[M], ids: Sequence[str]) -> dict[str, Found[M]]:
    return await on_loops_client(lambda client: found(feed, client, ids))
