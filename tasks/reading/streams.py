"""All messages of a feed: live, durably as one of a group, or the whole stream.

What the arguments mean, and how this begins, waits and fails: `tasks.results`.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Final, Generic

from .. import backend
from ..backend import Reading
from ..checks import clip
from .drivers import Source, awaited, blocking
from .feed import Feed, M
from .patience import Patience

PREFETCH: Final = 4
"""Each message costs a round trip of its own when it is handled: a longer page saves at most a fifth."""


class Streams(Generic[M]):
    """What stands behind the functions of a module such as `tasks.results`, under their names."""

    def __init__(self, feed: Feed[M]) -> None:
        self._feed = feed

    def listen(
        self,
        redis_url: str | None = None,
        *,
        idle_timeout_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[M, None, None]:
        """Messages as they are published from now on."""
        patience = Patience.blocking(self._feed.log, idle_timeout_s, stop)
        return blocking(
            self._source(Reading(way="listen", redis_url=redis_url, patience=patience, is_async=False))
        )

    def consume(
        self,
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
    ) -> Generator[M, None, None]:
        """Messages for one consumer of the group."""
        patience = Patience.blocking(self._feed.log, idle_timeout_s, stop)
        reading = Reading(
            way="consume", redis_url=redis_url, patience=patience, is_async=False,
            group=_checked(group), consumer=consumer or _name(), start=start, block_ms=block_ms,
            claim_idle_ms=claim_idle_ms, prefetch=prefetch,
        )  # fmt: skip
        return blocking(self._source(reading))

    def replay(
        self,
        start: str = "0",
        *,
        redis_url: str | None = None,
        follow: bool = False,
        block_ms: int = 1000,
        idle_timeout_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[M, None, None]:
        """What the stream holds, and with `follow` what comes."""
        patience = Patience.blocking(self._feed.log, idle_timeout_s if follow else 0, stop)
        reading = Reading(
            way="replay",
            redis_url=redis_url,
            patience=patience,
            is_async=False,
            start=start,
            block_ms=block_ms,
        )
        return blocking(self._source(reading))

    def alisten(
        self, redis_url: str | None = None, *, idle_timeout_s: float | None = None
    ) -> AsyncGenerator[M, None]:
        """`listen` for asyncio."""
        patience = Patience(self._feed.log, idle_timeout_s)
        reading = Reading(way="listen", redis_url=redis_url, patience=patience, is_async=True)
        return awaited(lambda: self._source(reading))

    def aconsume(
        self,
        group: str,
        consumer: str | None = None,
        *,
        redis_url: str | None = None,
        start: str = "0",
        block_ms: int = 1000,
        claim_idle_ms: int = 60_000,
        prefetch: int = PREFETCH,
        idle_timeout_s: float | None = None,
    ) -> AsyncGenerator[M, None]:
        """`consume` for asyncio."""
        patience = Patience(self._feed.log, idle_timeout_s)
        reading = Reading(
            way="consume", redis_url=redis_url, patience=patience, is_async=True,
            group=_checked(group), consumer=consumer or _name(), start=start, block_ms=block_ms,
            claim_idle_ms=claim_idle_ms, prefetch=prefetch,
        )  # fmt: skip
        return awaited(lambda: self._source(reading))

    def _source(self, reading: Reading) -> Source[M]:
        return backend.current().source(self._feed, reading)


def _checked(group: str) -> str:
    """An empty one Redis takes: all whose variable is not set would share it."""
    if not (isinstance(group, str) and group):
        raise ValueError(f"group must be the name of a consumer group, got {clip(group)}")
    return group


def _name() -> str:
    """A name that no other consumer has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
