"""One client of Redis for each event loop, for short commands: one connection, one command at a time.

A loop's end closes its connection, where the loop is ended as `asyncio.run` does it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from . import broker
from .clients import AGAIN_WITHIN_S, PAUSES_S, SOCKET_TIMEOUT_S, new_async_client

if TYPE_CHECKING:
    import redis.asyncio

T = TypeVar("T")

_MOST_S: Final = 10.0
"""The most that a call takes, as in `promptly`; also one that waits for others before it."""


class _OfLoop:
    """The client of one loop, and whose turn it is."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._url = ""
        self._client: redis.asyncio.Redis | None = None
        self._end: AsyncGenerator[None, None] | None = None

    async def call(self, command: Callable[[Any], Awaitable[T]]) -> T:
        async with self._turn:
            return await _promptly(command, await self._made())

    async def _made(self) -> redis.asyncio.Redis:
        url = broker.settings().redis_url
        if self._client is None or self._url != url:
            if self._end is not None:  # `configure` was called since
                await self._end.aclose()
                _of_loops[asyncio.get_running_loop()] = self
            client = new_async_client(url, socket_timeout_s=SOCKET_TIMEOUT_S)
            self._end = _closed_at_loops_end(client)
            await anext(self._end)
            self._client, self._url = client, url
        return self._client


async def _closed_at_loops_end(client: redis.asyncio.Redis) -> AsyncGenerator[None, None]:
    """Once it has been begun: a loop that is shut down closes its generators, this one among them."""
    try:
        yield
    finally:
        _of_loops.pop(asyncio.get_running_loop(), None)
        with suppress(Exception):  # it was lost already
            await client.aclose()


async def _promptly(command: Callable[[Any], Awaitable[T]], client: Any) -> T:
    """`tasks.clients.promptly` for asyncio."""
    from redis.exceptions import ConnectionError, InvalidResponse

    until = time.monotonic() + AGAIN_WITHIN_S
    for pause_s in PAUSES_S:
        try:
            return await command(client)
        except (ConnectionError, InvalidResponse):
            if time.monotonic() > until:
                raise
        await asyncio.sleep(pause_s)
    return await command(client)


_of_loops: dict[asyncio.AbstractEventLoop, _OfLoop] = {}


def _of_running_loop() -> _OfLoop:
    loop = asyncio.get_running_loop()
    if loop not in _of_loops:
        # Closed without being shut down. What is kept for a loop refers to it: weak keys would not do.
        for closed in [other for other in list(_of_loops) if other.is_closed()]:
            _of_loops.pop(closed, None)
        _of_loops[loop] = _OfLoop()
    return _of_loops[loop]


async def on_loops_client(command: Callable[[Any], Awaitable[T]]) -> T:
    """What a command answers that the running loop's client is given, which may be repeated.

    A call that is cancelled gives up its connection; the command may have arrived or not.

    Raises:
        RedisError: Redis did not answer within 10 s, or refused.
        SettingsError: a ValueError; a variable of the broker's cannot be right.
    """
    from redis.exceptions import TimeoutError as RedisTimeoutError

    of_loop = _of_running_loop()
    try:
        async with asyncio.timeout(_MOST_S):
            return await of_loop.call(command)
    except TimeoutError as error:
        raise RedisTimeoutError(f"no answer within {_MOST_S:.0f} s") from error
