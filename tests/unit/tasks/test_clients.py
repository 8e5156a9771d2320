"""The clients of Redis: what they are made of. No connection is made."""

from __future__ import annotations

from typing import Any

import pytest
import redis
import redis.asyncio

from tasks.clients import SOCKET_TIMEOUT_S, new_async_client, new_client


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
