"""The clients of Redis: what they are made of. No connection is made."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import redis
import redis.asyncio

from tasks.clients import SOCKET_TIMEOUT_S, is_away, new_async_client, new_client
from tasks.connection import _renewing, _renewing_async, word_of


@pytest.mark.parametrize(
    ("make", "plain", "secure"),
    [
        (new_client, redis.Connection, redis.SSLConnection),
        (new_async_client, redis.asyncio.Connection, redis.asyncio.SSLConnection),
    ],
    ids=["blocking", "asyncio"],
)
def test_connections_are_ours_with_and_without_tls(make: Any, plain: Any, secure: Any) -> None:
    """redis-py takes a class of its own from a rediss:// URL: ours, which drops itself, must win."""
    for url, base in (("redis://h", plain), ("rediss://h", secure)):
        connection: Any = make(url, socket_timeout_s=SOCKET_TIMEOUT_S).connection_pool.make_connection()
        assert base in type(connection).mro()
        assert type(connection).__name__ == f"Renewing{base.__name__}"
        assert connection.retry.get_retries() == 0


class OldConnection:
    """As redis-py made them before 6: what is said first is said in `on_connect`, and nothing checks then."""

    socket_timeout: float | None = None

    def __init__(self) -> None:
        self.is_connected = False
        self.said: list[str] = []

    def on_connect(self) -> None:
        # redis-py suppresses what CLIENT SETINFO is answered, and goes on over the same connection.
        with suppress(redis.AuthenticationError):
            self.read_response()
        self.is_connected = True

    def read_response(self) -> None:
        raise redis.AuthenticationError("Authentication required.")

    def disconnect(self) -> None:
        self.said.append("dropped")


class OldAsyncConnection(OldConnection):
    """The same for asyncio."""

    async def connect(self) -> None:
        await self.on_connect()

    async def on_connect(self) -> None:  # type: ignore[override]
        with suppress(redis.AuthenticationError):
            await self.read_response()
        self.is_connected = True

    async def read_response(self) -> None:  # type: ignore[override]
        raise redis.AuthenticationError("Authentication required.")

    async def disconnect(self, nowait: bool = False) -> None:  # type: ignore[override]
        self.said.append("dropped")

    async def check_health(self) -> None:
        self.said.append("checked")

    async def send_packed_command(self, command: str, check_health: bool = True) -> None:
        self.said.append(command)


def test_an_old_connection_is_not_dropped_by_what_redis_says_first() -> None:
    """It would be made again within itself, without end; later the same refusal drops it."""
    connection = _renewing(OldConnection)()
    connection.on_connect()
    assert (connection.is_connected, connection.said) == (True, [])
    with pytest.raises(redis.AuthenticationError):
        connection.read_response()
    assert connection.said == ["dropped"]


def test_an_old_connection_of_asyncio_is_made_by_its_first_command() -> None:
    """Checked, and kept whatever Redis says first."""

    async def main() -> list[str]:
        connection = _renewing_async(OldAsyncConnection)()
        await connection.send_packed_command("PING")
        with pytest.raises(redis.AuthenticationError):
            await connection.read_response()
        return list(connection.said)

    assert asyncio.run(main()) == ["checked", "PING", "dropped"]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (redis.ReadOnlyError("You can't write against a read only replica."), "READONLY"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), "LOADING"),
        (redis.AuthenticationError("Authentication required."), "NOAUTH"),
        (redis.AuthenticationError("invalid username-password pair or user is disabled."), "WRONGPASS"),
        (redis.exceptions.OutOfMemoryError("command not allowed"), "OOM"),
        (redis.ResponseError("WRONGTYPE Operation"), None),
    ],
)
def test_redis_words_are_known_by_the_class_of_the_error(error: Exception, word: str | None) -> None:
    """redis-py before 7 takes them off the text and keeps them nowhere else."""
    assert word_of(error) == word
    assert is_away(error) is (word is not None)
