"""Where this process's queue is, and the clients that it keeps for it.

Settings are read when they are first used, never at import. Celery and redis are imported then, too:
a program that only builds or checks payloads does not pay for them (0.2 s).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .batch_store.sent import counted_in_batch
from .callbacks import addressed
from .clients import CONNECT_TIMEOUT_S, PAUSES_S, SOCKET_TIMEOUT_S, new_client
from .connection import kombu_transport
from .contract import BATCH_TASK_NAME, TASK_NAME
from .declared.current import use
from .eager import OWN_APP
from .exceptions import BrokerUnavailable
from .redis_url import client_name, tls_options, without_options
from .settings import BrokerSettings, broker_from_environ, check_arguments, workflows_of

if TYPE_CHECKING:
    import redis
    from celery import Celery


class _State:
    """What this process has configured and made so far."""

    lock = threading.RLock()
    arguments: Mapping[str, str] = MappingProxyType({})
    settings: BrokerSettings | None = None
    client: redis.Redis | None = None
    app: Celery | None = None
    kept_away: str = ""


_state = _State()


def configure(
    *,
    redis_url: str | None = None,
    queue: str | None = None,
    results: str | None = None,
    outputs: str | None = None,
    workflows_file: str | None = None,
) -> None:
    """For programs that do not use the environment: what is given here takes precedence over it.

    Meant for a program's start. Connections made before are closed, and what was given before is
    forgotten, so that `configure()` goes back to the environment.

    Args:
        redis_url: in the place of `AIGC_REDIS_URL`, in the forms that are documented there.
        queue: in the place of `AIGC_QUEUE`.
        results: in the place of `AIGC_RESULTS`, the name of the channel and the stream of results.
        outputs: in the place of `AIGC_OUTPUTS`, the name of the channel and the stream of outputs.
        workflows_file: in the place of `AIGC_WORKFLOWS_FILE`, the path of a file that declares workflows. It
            is read at once.

    Raises:
        SettingsError: a ValueError, naming each argument that cannot be right. Nothing has changed then.
    """
    given = {"redis_url": redis_url, "queue": queue, "results": results, "outputs": outputs}
    arguments = {name: value for name, value in given.items() if value is not None}
    check_arguments(arguments)
    declared = None if workflows_file is None else workflows_of(workflows_file)
    with _state.lock:
        for made in (_state.client, _state.app):
            if made is not None:
                made.close()
        _state.arguments = arguments
        _state.settings = _state.client = _state.app = None
        use(declared)


def settings() -> BrokerSettings:
    """What `configure` was given, else `AIGC_REDIS_URL` (or `…_FILE`), `AIGC_QUEUE` and the like.

    Raises:
        SettingsError: a ValueError, naming every variable that cannot be right.
    """
    with _state.lock:
        if _state.settings is None:
            _state.settings = broker_from_environ(_state.arguments)
        return _state.settings


def redis_client() -> redis.Redis:
    """This process's client for short commands; replies are bytes."""
    with _state.lock:
        if _state.kept_away:
            raise BrokerUnavailable(_state.kept_away)
        if _state.client is None:
            _state.client = new_client(settings().redis_url, socket_timeout_s=SOCKET_TIMEOUT_S)
        return _state.client


@contextmanager
def kept_away(why: str) -> Iterator[None]:
    """Within the block nobody gets the client: who asks for it is told why, by BrokerUnavailable."""
    before, _state.kept_away = _state.kept_away, why
    try:
        yield
    finally:
        _state.kept_away = before


def _forget_lock() -> None:
    _state.lock = threading.RLock()  # another thread of the parent's may have held it


os.register_at_fork(after_in_child=_forget_lock)


def celery_app() -> Celery:
    """A Celery app for sending, bound to the queue; it does not become the program's current app."""
    with _state.lock:
        if _state.app is None:
            _state.app = _make_app(settings())
        return _state.app


def _make_app(broker: BrokerSettings) -> Celery:
    from celery import Celery

    ours: dict[str, Any] = {
        "transport": kombu_transport(broker.redis_url),
        "ssl": tls_options(broker.redis_url),
    }
    place = without_options(broker.redis_url)

    class App(Celery):  # type: ignore[misc]
        # Celery lets CELERY_BROKER_URL override every app of a process, and a shop may have set it
        # for its own: jobs would go there in silence.
        def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
            return super().connection_for_write(url or place, **options | ours)

        def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
            return super().connection_for_read(url or place, **options | ours)

        def send_task(self, name: str, *args: Any, **options: Any) -> Any:
            # Here, for a signature in a canvas comes this way too.
            with counted_in_batch(lambda: str(sent.id), args, options, broker.queue, redis_client):
                sent = super().send_task(name, *args, **addressed(options, self, broker.queue))
            return sent

    app = App(OWN_APP, set_as_current=False)
    app.conf.update(
        broker_url=place,
        broker_use_ssl=ours["ssl"],
        # One name for all: a worker reads nothing but JSON.
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=broker.queue,
        task_routes={name: {"queue": broker.queue} for name in (TASK_NAME, BATCH_TASK_NAME)},
        # Results go to the stream; a result backend would be asked for, and keep, what nobody reads.
        task_ignore_result=True,
        # Else a producer waits for as long as Redis is away, on a socket without a timeout.
        task_publish_retry_policy={
            "max_retries": len(PAUSES_S),
            "interval_start": 0.05,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        broker_transport_options={
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_keepalive": True,
            "client_name": client_name(broker.redis_url),
        },
    )
    return app
