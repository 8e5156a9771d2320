"""The reading of results is written once, as coroutines; here they are run, with and without an event loop.

Without one, a blocking client stands behind the interface of redis-py's asyncio client: every call has its
answer before it is awaited, so a coroutine never has to wait and runs to its end in one step.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from ..result import Result

if TYPE_CHECKING:
    import redis
    import redis.asyncio

T = TypeVar("T")


class Source(Protocol):
    """Where results come from, one connection's worth."""

    async def open(self) -> None:
        """Ask Redis for the first time; raises BrokerUnavailable where that fails."""

    def results(self) -> AsyncGenerator[Result, None]:
        """The results, once it is open."""

    async def close(self) -> None:
        """Give the connection up, opened or not. Raises nothing."""


class Blocking:
    """A blocking client of Redis, or a part of one, whose methods can be awaited."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def as_async(self) -> redis.asyncio.Redis:
        """This as what stands for it in type hints."""
        return cast("redis.asyncio.Redis", self)

    def pubsub(self) -> Any:
        return Blocking(self._target.pubsub())

    def pipeline(self, *, transaction: bool) -> Any:
        return Blocking(self._target.pipeline(transaction=transaction))

    @property
    def connection(self) -> Any:
        connection = self._target.connection
        return None if connection is None else Blocking(connection)

    async def aclose(self) -> None:
        self._target.close()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        async def done_at_once(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return done_at_once


def blocking(source: Source) -> Generator[Result, None, None]:
    """Open a source of a blocking client, and give its results.

    Raises BrokerUnavailable at once where it cannot be opened.
    """
    try:
        finish(source.open())
    except BaseException:
        finish(source.close())
        raise
    return _given(source)


def _given(source: Source) -> Generator[Result, None, None]:
    results = source.results()
    try:
        while True:
            try:
                result = finish(anext(results))
            except StopAsyncIteration:
                return
            yield result
    finally:
        finish(results.aclose())
        finish(source.close())


def finish(awaitable: Awaitable[T]) -> T:
    """What an awaitable gives that never has to wait."""
    try:
        next(awaitable.__await__())
    except StopIteration as done:
        return cast("T", done.value)
    raise RuntimeError("it waits for an event loop, and there is none")


async def awaited(make: Callable[[], Source]) -> AsyncGenerator[Result, None]:
    """Make and open a source in the running event loop, and give its results."""
    source = make()
    try:
        await source.open()
        async with aclosing(source.results()) as results:
            async for result in results:
                yield result
    finally:
        await source.close()
