"""Fixtures of more than one module of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.limited import LimitedWorker, New
from tests.redis_server import RedisServer


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
