"""Fixtures of more than one module of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.desk import Desk
from tests.integration.limited import LimitedWorker, New
from tests.integration.sandbox_client import KEYS, Client
from tests.integration.stage import Stage, staged
from tests.integration.ui_service import Start, services
from tests.redis_server import RedisServer
from worker.dev.sandbox import Config, running

LONGEST: Final = tuple(
    f"test_{name}"
    for name in (
        "chaos_short", "broker_outage", "signals", "refusals", "forward_process", "alarms",
        "sentinel_failover", "limits", "batch", "outcomes", "following_kills", "telemetry", "takeover",
        "shutdown", "docs_blocks", "redis_tls", "following", "refused_scripts", "producer",
    )
)  # fmt: skip
"""Files whose tests take 20 s and more together, mostly of waiting. They begin first: what begins last among
processes that run a file each should be short."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    yield made
    made.close()


@pytest.fixture
def stage(redis_server: RedisServer) -> Iterator[Stage]:
    """On a Redis that is shared, without data: a module whose tests kill it has a stage of its own."""
    with staged(redis_server) as stage:
        yield stage


@pytest.fixture
def start(redis_server: RedisServer, tmp_path: Path) -> Iterator[Start]:
    """Starts `aigc ui` with these arguments and settings."""
    with services(redis_server.url, tmp_path) as start:
        yield start


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
