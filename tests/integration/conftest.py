"""Fixtures of more than one module of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.limited import LimitedWorker, New
from tests.integration.sandbox_client import KEYS, Client
from tests.redis_server import RedisServer
from worker.dev.sandbox import Config, running


@pytest.fixture
def new(redis_server: RedisServer) -> Iterator[New]:
    """Makes workers with these limits; afterwards their connections are closed."""
    made: list[LimitedWorker] = []

    def make(**limits: Any) -> LimitedWorker:
        made.append(LimitedWorker(redis_server, **limits))
        return made[-1]

    yield make
    for worker in made:
        worker.scripts.close()


@pytest.fixture(scope="module")
def _module_sandbox() -> Iterator[Client]:
    with running(Config(keys=[KEYS], keep_bodies=True)) as url:
        yield Client(url)


@pytest.fixture
def sandbox(_module_sandbox: Client) -> Client:
    """A sandbox in this process, without rules and without a past."""
    _module_sandbox.call("/_sandbox/reset", {})
    return _module_sandbox
