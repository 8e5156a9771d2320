"""The outputs of all tasks: live with `listen`, durably with `consume`, or the whole stream with `replay`.

How they begin, wait and fail: `tasks.results`.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator
from typing import Final

from ..output import Output
from ..reading.streams import PREFETCH, Streams
from .feed import OUTPUTS

__all__ = ["AsyncOutputs", "Outputs", "aconsume", "alisten", "consume", "listen", "replay"]

Outputs = Generator[Output, None, None]
AsyncOutputs = AsyncGenerator[Output, None]

_STREAMS: Final = Streams(OUTPUTS)


def listen(
    redis_url: str | None = None,
    *,
    idle_timeout_s: float | None = None,
    stop: threading.Event | None = None,
) -> Outputs:
    """Outputs as they are published from now on; see `tasks.results.listen`."""
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
) -> Outputs:
    """Each output for one consumer of the group, and again where that one failed to handle it.

    See `tasks.results.consume`.
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
) -> Outputs:
    """What the stream holds after its entry `start`, oldest first; see `tasks.results.replay`."""
    return _STREAMS.replay(
        start, redis_url=redis_url, follow=follow, block_ms=block_ms, idle_timeout_s=idle_timeout_s, stop=stop
    )


def alisten(redis_url: str | None = None, *, idle_timeout_s: float | None = None) -> AsyncOutputs:
    """`listen` for asyncio; see `tasks.results.alisten`."""
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
) -> AsyncOutputs:
    """`consume` for asyncio; see `tasks.results.aconsume`."""
    return _STREAMS.aconsume(
        group, consumer, redis_url=redis_url, start=start, block_ms=block_ms, claim_idle_ms=claim_idle_ms,
        prefetch=prefetch, idle_timeout_s=idle_timeout_s,
    )  # fmt: skip
