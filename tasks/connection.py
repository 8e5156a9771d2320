"""Connections to Redis that are dropped when the server's answer says that another one may be right by now.

After a failover the demoted primary keeps its connections open and answers READONLY for ever; a user whose
password or rights were changed keeps the old ones. Only a new connection ends that. Producers, consumers
and workers use these in the place of redis-py's own connection classes, and kombu does for Celery's options.
Where sentinels know the server, each new connection asks them anew: `tasks.sentinels`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .redis_url import is_over_tls, sentinels_of
from .sentinels import found, found_async

if TYPE_CHECKING:
    import redis
    import redis.asyncio

RECONNECT_AFTER: Final = ("READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "WRONGPASS")
"""Redis's words for: ask another server, or again as who you are now. A script's error has them inside."""


ENDED_TLS: Final = "Redis ended the connection after TLS's handshake"
"""So it does for want of a client's certificate: in TLS 1.3 that is looked at after the handshake. The alert
that says so may be lost, for what the client has sent by then makes the server's system reset the connection.
"""

_WORDS: Final = {
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
    "OutOfMemoryError": "OOM",
    "NoPermissionError": "NOPERM",
    "AuthenticationError": "NOAUTH",
}

_NOT_TAKEN: Final = re.compile("invalid (username-)?password")


def word_of(error: BaseException) -> str | None:
    """Redis's word for an error, where redis-py took it off the text, by itself (since 7) or by the class."""
    word = getattr(error, "status_code", None) or _WORDS.get(type(error).__name__)
    return "WRONGPASS" if word == "NOAUTH" and _NOT_TAKEN.search(str(error)) else word


def new_connection_wanted(error: Exception) -> bool:
    """Whether the next command should go over a new connection, by the error that answered this one."""
    if word_of(error) in RECONNECT_AFTER:
        return True
    return any(word in RECONNECT_AFTER for word in str(error).split())


def say_no_library(connection: Any) -> None:
    """Have redis-py not introduce itself by CLIENT SETINFO: Redis 7.0 does not know that, so no file of ACL
    users that gives the right to it can be loaded there, and without the right each would be logged."""
    for name in {"driver_info", "lib_name", "lib_version"} & vars(connection).keys():
        setattr(connection, name, None)


@cache
def _renewing(base: type[Any]) -> type[Any]:
    import redis
    from redis.exceptions import ConnectionError, RedisError, ResponseError

    over_tls = issubclass(base, redis.SSLConnection)

    class Renewing(base):  # type: ignore[misc]
        plain = base  # without all this
        _is_being_made = False

        def on_connect_check_health(self, *args: Any, **kwargs: Any) -> Any:
            # redis-py itself decides what a refusal means of what it says first on a new connection.
            self._is_being_made = True
            say_no_library(self)
            try:
                super().on_connect_check_health(*args, **kwargs)
                if over_tls:
                    self._take_tickets()
            except ConnectionError as error:
                if not over_tls or type(error) is not ConnectionError:
                    raise
                raise ConnectionError(f"{ENDED_TLS} ({error})") from error
            finally:
                self._is_being_made = False

        def _take_tickets(self) -> None:
            # What a server sends of its own after TLS's handshake, redis-py's pool takes for an answer that
            # was left unread, and gives up. It has come before the first answer.
            self.send_command("PING", check_health=False)
            with suppress(ResponseError):  # no right to it: an answer all the same
                self.read_response()

        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().read_response(*args, **kwargs)
            except RedisError as error:
                if not self._is_being_made and new_connection_wanted(error):
                    self.disconnect()
                raise

        def on_connect(self) -> Any:
            # All that redis-py before 6 calls; a newer one calls the other by it.
            self._is_being_made = True
            say_no_library(self)
            try:
                return super().on_connect()
            finally:
                self._is_being_made = False

    Renewing.__name__ = Renewing.__qualname__ = f"Renewing{base.__name__}"
    return Renewing


@cache
def connection_class(redis_url: str) -> type[redis.Connection]:
    """redis-py's class for this URL, dropped as above; for `redis.ConnectionPool(connection_class=…)`.

    Where the URL names sentinels, each connection asks them where it leads.
    """
    import redis

    base = redis.SSLConnection if is_over_tls(redis_url) else redis.Connection
    sentinels = sentinels_of(redis_url)
    leading: Any = found(base, sentinels) if sentinels else base
    of_url: type[redis.Connection] = _renewing(leading)
    return of_url


@cache
def _bounding_writes(base: type[Any]) -> type[Any]:
    """redis-py bounds a write by asyncio.wait_for, which before Python 3.12 loses a cancellation that comes
    as the write ends: whoever cancels a reader would wait for it for ever. It does so only where there is a
    timeout.
    """
    import asyncio

    from redis.exceptions import TimeoutError as RedisTimeoutError

    class Bounding(base):  # type: ignore[misc]
        socket_timeout: float | None

        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            if not self.is_connected:
                await self._connect_unchecked()
            if check_health:
                await self.check_health()
            timeout_s, self.socket_timeout = self.socket_timeout, None
            try:
                async with asyncio.timeout(timeout_s):
                    await super().send_packed_command(command, check_health=False)
            except TimeoutError:
                raise RedisTimeoutError("Timeout writing to socket") from None
            finally:
                self.socket_timeout = timeout_s

        async def _connect_unchecked(self) -> None:
            if hasattr(base, "connect_check_health"):
                await self.connect_check_health(check_health=False)
            else:
                await self.connect()  # redis-py before 6

    return Bounding


@cache
def _renewing_async(base: type[Any]) -> type[Any]:
    import redis.asyncio
    from redis.exceptions import ConnectionError, RedisError

    over_tls = issubclass(base, redis.asyncio.SSLConnection)

    class Renewing(_bounding_writes(base)):  # type: ignore[misc]
        _is_being_made = False

        async def on_connect_check_health(self, *args: Any, **kwargs: Any) -> Any:
            self._is_being_made = True
            say_no_library(self)
            try:
                return await super().on_connect_check_health(*args, **kwargs)
            except ConnectionError as error:
                if not over_tls or type(error) is not ConnectionError:
                    raise
                raise ConnectionError(f"{ENDED_TLS} ({error})") from error
            finally:
                self._is_being_made = False

        async def on_connect(self) -> Any:
            self._is_being_made = True
            say_no_library(self)
            try:
                return await super().on_connect()
            finally:
                self._is_being_made = False

        async def read_response(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await super().read_response(*args, **kwargs)
            except RedisError as error:
                if not self._is_being_made and new_connection_wanted(error):
                    await self.disconnect(nowait=True)
                raise

    Renewing.__name__ = Renewing.__qualname__ = f"Renewing{base.__name__}"
    return Renewing


@cache
def async_connection_class(redis_url: str) -> type[redis.asyncio.Connection]:
    """The same for `redis.asyncio`."""
    import redis.asyncio

    base = redis.asyncio.SSLConnection if is_over_tls(redis_url) else redis.asyncio.Connection
    sentinels = sentinels_of(redis_url)
    leading: Any = found_async(base, sentinels) if sentinels else base
    of_url: type[redis.asyncio.Connection] = _renewing_async(leading)
    return of_url


@cache
def kombu_transport(redis_url: str) -> type[Any]:
    """kombu's transport to this Redis over such connections; it waits in vain for an answer only once."""
    import redis
    from kombu.exceptions import OperationalError
    from kombu.transport.redis import Channel, Transport

    of_url: Any = connection_class(redis_url)

    @contextmanager
    def waited_once() -> Iterator[None]:
        # kombu tries again after its transport's own errors, each time for a whole timeout, and nested:
        # a Redis that hangs would hold up a producer for minutes. This error it hands to its caller.
        try:
            yield
        except redis.TimeoutError as error:
            raise OperationalError(str(error)) from error

    class RenewingChannel(Channel):
        # kombu looks at the one or the other, by whether it is given options of TLS.
        connection_class = connection_class_ssl = of_url

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            with waited_once():  # it connects, and asks PING
                super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]

        @contextmanager
        def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
            with waited_once(), super().conn_or_acquire(client) as found:
                yield found

    class RenewingTransport(Transport):
        Channel = RenewingChannel

    return RenewingTransport
