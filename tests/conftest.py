"""Fixtures for all tests: real Redis servers, never somebody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def _session_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(_session_redis: RedisServer) -> Iterator[RedisServer]:
    """A running server without data. Shared by the session's tests, so do not kill it."""
    client = _session_redis.client()
    client.flushall()
    yield _session_redis
    _session_redis.close_clients()


@pytest.fixture
def own_redis_server() -> Iterator[RedisServer]:
    """A running server of the test's own, which may be killed and started again."""
    with RedisServer() as server:
        yield server
