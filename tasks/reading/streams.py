"""All messages of a feed: live with `listen`, durably with `consume`, or the whole stream with `replay`.

How they begin, wait and fail: `tasks.results`.
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
from .drivers import Source, awaited, blocking
from .feed import Feed, M
from .patience import Patience

PREFETCH: Final = 4
"""Each message costs a round trip of its own when it is handled: a longer page saves at most a fifth."""


class Streams(Generic[M]):
    """What a module such as `tasks.results` offers under the names of these methods."""

    def __init__(self, feed: Feed[M]) -> None:
        self._feed = feed

    def listen(
        self,
        redis_url: str | None = None,
        *,
        idle_timeout_s: float | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[M, None, None]:
        """Messages as they are published from now on; what is published while Redis is away is missed.

        Subscribed once this returns.

        Args:
            redis_url: another Redis than that of `configure` and the environment.
            idle_timeout_s: end after so many seconds without a message.
            stop: once set, the iterator ends within a second.

        Raises:
            BrokerUnavailable: Redis is away now, or refuses; later on only what waiting cannot mend.
        """
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
        """Each message for one consumer of the group, and again where that one failed to handle it.

        A message counts as handled when the loop asks for the next one. What a consumer leaves unhandled
        for `claim_idle_ms` another one gets, so handling one message must not take longer than that.

        Args:
            group: the consumer group's name in Redis; made where it is not there.
            consumer: unique in the group at any time; random if not given. One that comes back under its
                name gets what it left unhandled at once.
            redis_url: another Redis than that of `configure` and the environment.
            start: where a new group starts: "0" with the oldest message kept, "$" with the next one, else
                after the entry of this id.
            block_ms: how long one wait for news lasts, in milliseconds; above 0.
            claim_idle_ms: after how many milliseconds what another consumer left unhandled is taken over.
            prefetch: how many messages it takes at a time, at least 1; the other consumers do not get these.
                More of them make many quick messages cheaper, 1 is fair where handling one takes long.
            idle_timeout_s: end after so many seconds without a message; 0 ends when there is no more.
            stop: once set, the iterator ends within one wait.

        Raises:
            BrokerUnavailable: Redis is away now, or refuses; later on only what waiting cannot mend.
            ValueError: `prefetch` is below 1.
        """
        patience = Patience.blocking(self._feed.log, idle_timeout_s, stop)
        reading = Reading(
            way="consume", redis_url=redis_url, patience=patience, is_async=False,
            group=group, consumer=consumer or _name(), start=start, block_ms=block_ms,
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
        """What the stream holds after its entry `start`, oldest first; with `follow` then what comes.

        Acknowledges nothing. Without `follow` it ends with the newest message.

        Args:
            start: id of a stream entry; "0" for all.
            redis_url: another Redis than that of `configure` and the environment.
            follow: go on with what comes.
            block_ms: how long one wait for news lasts, in milliseconds; above 0.
            idle_timeout_s: with `follow`, end after so many seconds without a message.
            stop: once set, the iterator ends within one wait.

        Raises:
            BrokerUnavailable: Redis is away now, or refuses; later on only what waiting cannot mend.
        """
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
        """`listen` for asyncio; subscribed when the loop first waits for a message.

        Errors, of the beginning too, are raised where a message is waited for. Closing the generator or
        cancelling its task closes the connection.
        """
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
        """`consume` for asyncio, with its arguments; the group is made when a message is first waited for.

        Errors, of the beginning too, are raised where a message is waited for. Closing the generator or
        cancelling its task closes the connection; the message in hand then stays unhandled.
        """
        patience = Patience(self._feed.log, idle_timeout_s)
        reading = Reading(
            way="consume", redis_url=redis_url, patience=patience, is_async=True,
            group=group, consumer=consumer or _name(), start=start, block_ms=block_ms,
            claim_idle_ms=claim_idle_ms, prefetch=prefetch,
        )  # fmt: skip
        return awaited(lambda: self._source(reading))

    def _source(self, reading: Reading) -> Source[M]:
        return backend.current().source(self._feed, reading)


def _name() -> str:
    """A name that no other consumer has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
