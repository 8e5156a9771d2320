"""Clients of Redis for producers and consumers, blocking and for asyncio, and what their errors mean.

redis and kombu are imported when they are first needed: a program that only builds or checks payloads does
not pay for them (0.2 s).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .connection import async_connection_class, connection_class, word_of
from .exceptions import BrokerUnavailable
from .redis_errors import refusal
from .redis_url import connection_options

if TYPE_CHECKING:
    import redis
    import redis.asyncio

T = TypeVar("T")

# Together 10 s, the most that a producer waits: a connection found lost, a new one, no answer on it.
AGAIN_WITHIN_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 3.0
SOCKET_TIMEOUT_S: Final = 6.0
PAUSES_S: Final = (0.05, 0.2)

_PASSING: Final = (
    *("LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED"),
    *("OOM", "MISCONF", "NOREPLICAS", "NOPERM", "NOAUTH", "WRONGPASS"),
)
"""Redis's words for what passes, or what its operator can end: a consumer waits meanwhile."""


def new_client(redis_url: str, *, socket_timeout_s: float) -> redis.Redis:
    """A client that gives up after a few seconds, and makes one attempt at a command; see `promptly`."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    pool = redis.ConnectionPool(
        # redis-py's retries are nested, connecting within the command, and wait for a hung Redis at each.
        retry=Retry(NoBackoff(), 0),
        connection_class=connection_class(redis_url),
        **connection_options(redis_url),
        **_options(socket_timeout_s),
    )
    return redis.Redis.from_pool(pool)


def new_async_client(redis_url: str, *, socket_timeout_s: float) -> redis.asyncio.Redis:
    """The same for asyncio. Whoever makes it awaits its `aclose()`."""
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    pool = ConnectionPool(
        retry=Retry(NoBackoff(), 0),
        connection_class=async_connection_class(redis_url),
        **connection_options(redis_url),
        **_options(socket_timeout_s),
    )
    return Redis.from_pool(pool)


def _options(socket_timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": socket_timeout_s,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 25,  # a peer that vanished without a word is noticed while idle
    }


def promptly(call: Callable[[], T]) -> T:
    """Call Redis for a producer, and again over a new connection where one turned out to be lost.

    Only what is lost at once is tried again: who has waited for an answer in vain is told so.
    """
    from redis.exceptions import ConnectionError, InvalidResponse

    until = time.monotonic() + AGAIN_WITHIN_S
    for pause_s in PAUSES_S:
        try:
            return call()
        except (ConnectionError, InvalidResponse):
            if time.monotonic() > until:
                raise
        time.sleep(pause_s)
    return call()


@contextmanager
def reported(key: str = "") -> Iterator[None]:
    """Raise what the Redis client or kombu raises inside as BrokerUnavailable; `key` is what it is about."""
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OperationalError) as error:
        if key and "WRONGTYPE" in str(error):
            words = f"the key {key} in Redis holds something of another type: choose another name, or"
            words += " rename or delete it"
            raise BrokerUnavailable(f"{words} ({error})") from error
        raise BrokerUnavailable(refusal(error) or f"Redis is not available: {error}") from error


def is_away(error: BaseException | None) -> bool:
    """Whether Redis is down, or says something that passes, or answered what is not its protocol."""
    from redis import exceptions

    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse)):
        return True
    # redis-py has classes for some words and takes those away from the text.
    said = word_of(error) or str(error).partition(" ")[0] if error else ""
    return isinstance(error, exceptions.ResponseError) and said in _PASSING
