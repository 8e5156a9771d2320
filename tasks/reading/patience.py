"""How long a reader of messages waits: for the next one, and for a Redis that is away."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Self

from ..clients import is_away, reported
from ..connection import word_of
from ..redis_errors import refusal

if TYPE_CHECKING:
    from redis.exceptions import RedisError

_BACKOFF_CAP_S: Final = 5.0


class Patience:
    """How long there has been no message, and no Redis.

    Args:
        log: where it says that Redis is away.
        idle_timeout_s: how long to wait for a message; None for ever.
        pause: waits so many seconds.
        stopped: whether the reader was told to end.
    """

    def __init__(
        self,
        log: logging.Logger,
        idle_timeout_s: float | None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._log, self._idle_timeout_s = log, idle_timeout_s
        self.pause = pause
        self.stopped = stopped
        self._since, self._failures = time.monotonic(), 0

    @classmethod
    def blocking(
        cls, log: logging.Logger, idle_timeout_s: float | None, stop: threading.Event | None
    ) -> Self:
        """Pauses block the thread, until `stop` is set at most."""
        stop = stop or threading.Event()

        async def pause(seconds: float) -> None:
            stop.wait(seconds)

        return cls(log, idle_timeout_s, pause, stop.is_set)

    def renew(self) -> None:
        """There was a message."""
        self._since = time.monotonic()
        self.answered()

    def answered(self) -> None:
        """Redis answered, if only that there is nothing."""
        if self._failures:
            self._log.info("Redis answers again")
        self._failures = 0

    def left(self, most: float) -> float:
        """Seconds to wait for the next message, at most so many; 0 where it must be there now."""
        if self._idle_timeout_s is None:
            return most
        return min(most, max(0.0, self._since + self._idle_timeout_s - time.monotonic()))

    async def wait_out(self, error: RedisError, key: str) -> None:
        """Wait a while for a Redis that is away or refuses, longer each time.

        Raises BrokerUnavailable, about that key, for what waiting cannot mend.
        """
        if not is_away(error):
            with reported(key):
                raise error
        said = word_of(error)
        words = refusal(error) or (f"{said}: {error}" if said else error)
        self._log.warning("waiting for Redis: %s", words, extra={"repeated": self._failures > 0})
        self._failures += 1
        await self.pause(random.uniform(0.5, 1.0) * min(_BACKOFF_CAP_S, 0.1 * 2 ** min(self._failures, 10)))
