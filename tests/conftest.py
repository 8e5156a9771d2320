"""Fixtures for all tests: real Redis servers, never somebody else's."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest

from tasks import broker
from tests.redis_server import RedisServer

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell leaves it so for what runs in the background, and processes that tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was() -> Iterator[None]:
    """A level that a test leaves behind hides what later ones look for in the log."""
    before = _logging_state()
    yield
    assert _logging_state() == before, "a test changed the levels of logging for those after it"


@pytest.fixture(autouse=True)
def _broker_is_forgotten() -> Iterator[None]:
    """Later tests read their own environment, not what one found in its own."""
    before = broker._state.arguments  # those of a module's fixture stay
    yield
    if not before or broker._state.arguments != before:
        broker.configure(**before)


def _logging_state() -> tuple[object, ...]:
    loggers = [logging.getLogger(name) for name in ("tasks", "tasks.results", "worker")]
    levels = [(logger.level, logger.propagate, logger.disabled) for logger in loggers]
    return logging.root.level, logging.root.manager.disable, *levels
