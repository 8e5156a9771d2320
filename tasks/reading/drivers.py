"""Reading is written once, as coroutines; here they are run, with and without an event loop.

Without one, a blocking client stands behind the interface of redis-py's asyncio client: every call has its
answer before it is awaited, so a coroutine never has to wait and runs to its end in one step.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

if TYPE_CHECKING:
    import redis
    import redis.asyncio

T = TypeVar("T")
M_co = TypeVar("M_co", covariant=True)


class Source(Protocol[M_co]):
    """Where messages come from, one connection's worth."""

    async def open(self) -> None:
        """Ask Redis for the first time; raises BrokerUnavailable where that fails."""

    def messages(self) -> AsyncGenerator[M_co, None]:
        """The messages, once it is open."""

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


def blocking(source: Source[T]) -> Generator[T, None, None]:
    """Open a source of a blocking client, and give its messages.

    Raises BrokerUnavailable at once where it cannot be opened.
    """
    try:
        finish(source.open())
    except BaseException:
        finish(source.close())
        raise
    return _given(source)


def _given(source: Source[T]) -> Generator[T, None, None]:
    messages = source.messages()
    try:
        while True:
            try:
                message = finish(anext(messages))
            except StopAsyncIteration:
                return
            yield message
    finally:
        finish(messages.aclose())
        finish(source.close())


def finish(awaitable: Awaitable[T]) -> T:
    """What an awaitable gives that never has to wait."""
    try:
        next(awaitable.__await__())
    except StopIteration as done:
        return cast("T", done.value)
    raise RuntimeError("it waits for an event loop, and there is none")


async def awaited(make: Callable[[], Source[T]]) -> AsyncGenerator[T, None]:
    """Make and open a source in the running event loop, and give its messages."""
    source = make()
    try:
        await source.open()
        async with aclosing(source.messages()) as messages:
            async for message in messages:
                yield message
    finally:
        await source.close()
