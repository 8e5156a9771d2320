"""The results of all jobs: live with `listen`, durably with `consume`, or the whole stream with `replay`.

How they begin, wait and fail: `tasks.results`.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator
from typing import Final

from ..reading.streams import PREFETCH, Streams
from ..result import Result
from .feed import RESULTS

__all__ = ["AsyncResults", "Results", "aconsume", "alisten", "consume", "listen", "replay"]

Results = Generator[Result, None, None]
AsyncResults = AsyncGenerator[Result, None]

_STREAMS: Final = Streams(RESULTS)


def listen(
    redis_url: str | None = None,
    *,
    idle_timeout_s: float | None = None,
    stop: threading.Event | None = None,
) -> Results:
    """Results as they are published from now on; what is published while Redis is away is missed.

    Subscribed once this returns.

    Args:
        redis_url: another Redis than that of `configure` and the environment.
        idle_timeout_s: end after so many seconds without a result.
        stop: once set, the iterator ends within a second.

    Raises:
        BrokerUnavailable: Redis is away now, or refuses; later on only what waiting cannot mend.
    """
    return _STREAMS.listen(redis_url, idle_timeout_s=idle_timeout_s, stop=stop)


def consume(
    group: str,
    consumer: str | None = None,
    *,
    redis_url: str | None = None,
    start: str = "0",
    block_ms: int = 1000,
    claim_idle_ms: int = 60_000,
    prefetch: int = PREFETCH,
    idle_timeout_s: float | None = None,
    stop: threading.Event | None = None,
) -> Results:
    """Each result for one consumer of the group, and again where that one failed to handle it.

    A result counts as handled when the loop asks for the next one. What a consumer leaves unhandled
    for `claim_idle_ms` another one gets, so handling one result must not take longer than that.

    Args:
        group: the consumer group's name in Redis; made where it is not there.
        consumer: unique in the group at any time; random if not given. One that comes back under its
            name gets what it left unhandled at once.
        redis_url: another Redis than that of `configure` and the environment.
        start: where a new group starts: "0" with the oldest result kept, "$" with the next one, else
            after the entry of this id.
        block_ms: how long one wait for news lasts, in milliseconds; above 0.
        claim_idle_ms: after how many milliseconds what another consumer left unhandled is taken over.
        prefetch: how many results it takes at a time, at least 1; the other consumers do not get these.
            More of them make many quick results cheaper, 1 is fair where handling one takes long.
        idle_timeout_s: end after so many seconds without a result; 0 ends when there is no more.
        stop: once set, the iterator ends within one wait.

    Raises:
        BrokerUnavailable: Redis is away now, or refuses; later on only what waiting cannot mend.
        ValueError: `prefetch` is below 1.
    """
    return _STREAMS.consume(
        group, consumer, redis_url=redis_url, start=start, block_ms=block_ms, claim_idle_ms=claim_idle_ms,
        prefetch=prefetch, idle_timeout_s=idle_timeout_s, stop=stop,
    )  # fmt: skip


def replay(
    start: str = "0",
    *,
    redis_url: str | None = None,
    follow: bool = False,
    block_ms: int = 1000,
    idle_timeout_s: float | None = None,
    stop: threading.Event | None = None,
) -> Results:
    """What the stream holds after its entry `start`, oldest first; with `follow` then what comes.

    Acknowledges nothing. Without `follow` it ends with the newest result.

    Args:
        start: id of a stream entry; "0" for all.
        redis_url: another Redis than that of `configure` and the environment.
        follow: go on with what comes.
        block_ms: how long one wait for news lasts, in milliseconds; above 0.
        idle_timeout_s: with `follow`, end after so many seconds without a result.
        stop: once set, the iterator ends within one wait.

    Raises:
        BrokerUnavailable: Redis is away now, or refuses; later on only what waiting cannot mend.
    """
    return _STREAMS.replay(
        start, redis_url=redis_url, follow=follow, block_ms=block_ms, idle_timeout_s=idle_timeout_s, stop=stop
    )


def alisten(redis_url: str | None = None, *, idle_timeout_s: float | None = None) -> AsyncResults:
    """`listen` for asyncio; subscribed when the loop first waits for a result.

    Errors, of the beginning too, are raised where a result is waited for. Closing the generator or
    cancelling its task closes the connection.
    """
    return _STREAMS.alisten(redis_url, idle_timeout_s=idle_timeout_s)


def aconsume(
    group: str,
    consumer: str | None = None,
    *,
    redis_url: str | None = None,
    start: str = "0",
    block_ms: int = 1000,
    claim_idle_ms: int = 60_000,
    prefetch: int = PREFETCH,
    idle_timeout_s: float | None = None,
) -> AsyncResults:
    """`consume` for asyncio, with its arguments; the group is made when the loop first waits for a result.

    Errors, of the beginning too, are raised where a result is waited for. Closing the generator or
    cancelling its task closes the connection; the result in hand then stays unhandled.
    """
    return _STREAMS.aconsume(
        group, consumer, redis_url=redis_url, start=start, block_ms=block_ms, claim_idle_ms=claim_idle_ms,
        prefetch=prefetch, idle_timeout_s=idle_timeout_s,
    )  # fmt: skip
