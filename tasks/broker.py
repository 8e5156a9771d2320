"""Where the queue is, and the clients that reach it: the only reader of the environment in `tasks`.

Settings are read when they are first used, never at import. Celery and redis are imported then, too:
a program that only builds or checks payloads does not pay for them (0.2 s).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from tasks.connection import connection_class, kombu_transport
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

T = TypeVar("T")

# Together 10 s, the most that a producer waits: a connection found lost, a new one, no answer on it.
_AGAIN_WITHIN_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 3.0
SOCKET_TIMEOUT_S: Final = 6.0
_PAUSES_S: Final = (0.05, 0.2)

_PASSING: Final = (
    *("LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED"),
    *("OOM", "MISCONF", "NOREPLICAS", "NOPERM", "NOAUTH", "WRONGPASS"),
)
"""Redis's words for what passes, or what its operator can end: a consumer waits meanwhile."""


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
            _state.client = new_client(place().redis_url, socket_timeout_s=SOCKET_TIMEOUT_S)
        return _state.client


def new_client(redis_url: str, *, socket_timeout_s: float) -> redis.Redis:
    """A client that gives up after a few seconds, and makes one attempt at a command; see `promptly`."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        redis_url,
        socket_timeout=socket_timeout_s,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_keepalive=True,
        # redis-py's retries are nested, connecting within the command, and wait for a hung Redis at each.
        retry=Retry(NoBackoff(), 0),
        health_check_interval=25,  # a peer that vanished without a word is noticed while idle
        connection_class=connection_class(redis_url),
    )


def promptly(call: Callable[[], T]) -> T:
    """Call Redis for a producer, and again over a new connection where one turned out to be lost.

    Only what is lost at once is tried again: who has waited for an answer in vain is told so.
    """
    from redis.exceptions import ConnectionError, InvalidResponse

    until = time.monotonic() + _AGAIN_WITHIN_S
    for pause_s in _PAUSES_S:
        try:
            return call()
        except (ConnectionError, InvalidResponse):
            if time.monotonic() > until:
                raise
        time.sleep(pause_s)
    return call()


def celery_app() -> Celery:
    """A Celery app for sending, bound to the queue; it does not become the program's current app."""
    with _state.lock:
        if _state.app is None:
            _state.app = _make_app(place())
        return _state.app


def _make_app(where: Place) -> Celery:
    from celery import Celery

    ours: dict[str, Any] = {"transport": kombu_transport()}
    if where.redis_url.startswith("rediss://"):
        # kombu's own default is to take any certificate. What the URL says of TLS precedes this.
        ours["ssl"] = {"ssl_cert_reqs": "required"}

    class App(Celery):  # type: ignore[misc]
        # Celery lets CELERY_BROKER_URL override every app of a process, and a shop may have set it
        # for its own: jobs would go there in silence.
        def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
            return super().connection_for_write(url or where.redis_url, **ours, **options)

        def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
            return super().connection_for_read(url or where.redis_url, **ours, **options)

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
            "max_retries": len(_PAUSES_S),
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
def reported(key: str = "") -> Iterator[None]:
    """Raise what the Redis client or kombu raises inside as BrokerUnavailable; `key` is what it is about."""
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OperationalError) as error:
        if key and "WRONGTYPE" in str(error):
            words = f"the key {key} in Redis holds something of another type: rename or delete it"
            raise BrokerUnavailable(f"{words} ({error})") from error
        raise BrokerUnavailable(f"Redis is not available: {error}") from error


def is_away(error: Exception) -> bool:
    """Whether Redis is down, or says something that passes, or answered what is not its protocol."""
    from redis import exceptions

    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse)):
        return True
    # redis-py has classes for some words and takes those away from the text.
    said = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return isinstance(error, exceptions.ResponseError) and said in _PASSING


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
