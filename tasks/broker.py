"""Where the queue is, and the clients that reach it: the only reader of the environment in `tasks`.

Settings are read when they are first used, never at import. Celery and redis are imported then, too:
a program that only builds or checks payloads does not pay for them (0.2 s).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tasks.connection import connection_class
from tasks.contract import (
    BATCH_TASK_NAME,
    DEFAULT_QUEUE,
    DEFAULT_REDIS_URL,
    DEFAULT_RESULTS,
    TASK_NAME,
)

if TYPE_CHECKING:
    import redis
    from celery import Celery

CONNECT_TIMEOUT_S: Final = 3.0
SOCKET_TIMEOUT_S: Final = 10.0
_ATTEMPTS: Final = 3


class BrokerUnavailable(ConnectionError):
    """Redis did not answer, or refused. Whether what was sent has arrived is not known.

    To submit again under the same job id is safe: a job is paid for once, however often it is queued.
    """


@dataclass(frozen=True, slots=True)
class Place:
    """Where jobs go and results come from."""

    redis_url: str = field(repr=False)
    queue: str
    results: str


class _State:
    """What this process has configured and made so far."""

    lock = threading.RLock()
    given: dict[str, str]
    place: Place | None = None
    client: redis.Redis | None = None
    app: Celery | None = None


_state = _State()
_state.given = {}


def configure(*, redis_url: str | None = None, queue: str | None = None, results: str | None = None) -> None:
    """For programs that do not use the environment: what is given here takes precedence over it.

    Meant for a program's start. Connections made before are closed, and what was given is forgotten.

    Raises ValueError for a URL that cannot be right.
    """
    given = {"AIGC_REDIS_URL": redis_url, "AIGC_QUEUE": queue, "AIGC_RESULTS": results}
    if redis_url is not None:
        check_redis_url(redis_url, "redis_url")
    with _state.lock:
        for made in (_state.client, _state.app):
            if made is not None:
                made.close()
        _state.given = {name: value for name, value in given.items() if value is not None}
        _state.place = _state.client = _state.app = None


def place() -> Place:
    """What `configure` was given, else `AIGC_REDIS_URL` (or `…_FILE`), `AIGC_QUEUE`, `AIGC_RESULTS`.

    Raises ValueError naming the variable that cannot be right.
    """
    with _state.lock:
        if _state.place is None:
            url = _setting("AIGC_REDIS_URL") or _file("AIGC_REDIS_URL_FILE") or DEFAULT_REDIS_URL
            check_redis_url(url, "AIGC_REDIS_URL")
            queue = _setting("AIGC_QUEUE") or DEFAULT_QUEUE
            _state.place = Place(url, queue, _setting("AIGC_RESULTS") or DEFAULT_RESULTS)
        return _state.place


def check_redis_url(url: str, name: str) -> None:
    """Raises ValueError calling the URL `name`; the URL may hold a password and is not repeated."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or not re.fullmatch(r"/?[0-9]*", parts.path):
        raise ValueError(f"{name} must be redis://[user:password@]host[:port][/number], or rediss://")


def redis_client() -> redis.Redis:
    """This process's client for short commands; replies are bytes."""
    with _state.lock:
        if _state.client is None:
            _state.client = new_client(place().redis_url)
        return _state.client


def new_client(
    redis_url: str, *, socket_timeout_s: float = SOCKET_TIMEOUT_S, attempts: int = _ATTEMPTS
) -> redis.Redis:
    """A client that gives up after a few seconds, after so many attempts at a command."""
    import redis
    from redis.backoff import FullJitterBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        redis_url,
        socket_timeout=socket_timeout_s,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_keepalive=True,
        retry=Retry(FullJitterBackoff(cap=0.5, base=0.05), attempts - 1),
        health_check_interval=25,  # a peer that vanished without a word is noticed while idle
        connection_class=connection_class(redis_url),
    )


def celery_app() -> Celery:
    """A Celery app for sending, bound to the queue; it does not become the program's current app."""
    with _state.lock:
        if _state.app is None:
            _state.app = _make_app(place())
        return _state.app


def _make_app(where: Place) -> Celery:
    from celery import Celery

    class App(Celery):  # type: ignore[misc]
        # Celery lets CELERY_BROKER_URL override every app of a process, and a shop may have set it
        # for its own: jobs would go there in silence.
        def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
            return super().connection_for_write(url or where.redis_url, **options)

        def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
            return super().connection_for_read(url or where.redis_url, **options)

    app = App("aigc", set_as_current=False)
    app.conf.update(
        broker_url=where.redis_url,
        # One name for all: a worker reads nothing but JSON.
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=where.queue,
        task_routes={name: {"queue": where.queue} for name in (TASK_NAME, BATCH_TASK_NAME)},
        # Results go to the stream; a result backend would be asked for, and keep, what nobody reads.
        task_ignore_result=True,
        # Else a producer waits for as long as Redis is away, on a socket without a timeout.
        task_publish_retry_policy={
            "max_retries": _ATTEMPTS - 1,
            "interval_start": 0.05,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        broker_transport_options={
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_keepalive": True,
        },
    )
    return app


@contextmanager
def reported() -> Iterator[None]:
    """Raise what the Redis client or kombu raises inside as BrokerUnavailable."""
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OperationalError) as error:
        raise BrokerUnavailable(f"Redis is not available: {error}") from error


def away() -> tuple[type[Exception], ...]:
    """The errors of a Redis that is down, loading, or read-only for a failover: it may come back."""
    from redis import exceptions

    return exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ReadOnlyError


def _setting(name: str) -> str | None:
    return _state.given.get(name) or os.environ.get(name, "").strip() or None


def _file(name: str) -> str | None:
    path = _setting(name)
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError) as error:
        raise ValueError(f"{name} must name a file that can be read: {type(error).__name__}") from None
