"""A Redis that keeps a client out: told at once with the remedy, by workers and producers alike."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tasks
from tests.conditions import PATIENCE_S
from tests.integration.desk import KEYS
from tests.integration.stage import CommandWorker, Stage, Worker, staged
from tests.integration.tls_redis import over_tls
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image
from worker.store.scripts import connect
from worker.store.selftest import kept_out

Begin = Callable[[Stage, str], Worker]
"""Starts a worker on a Redis with this URL."""

Spoil = Callable[[Any, str], str]
"""What somebody got wrong about a Redis with this URL; gives the URL that a client is told."""


def _no_password(admin: Any, url: str) -> str:
    admin.config_set("requirepass", "pw")
    return url


def _wrong_password(admin: Any, url: str) -> str:
    admin.config_set("requirepass", "pw")
    return url.replace("://", "://:other@")


def _needless_password(admin: Any, url: str) -> str:
    return url.replace("://", "://:other@")


def _no_such_database(admin: Any, url: str) -> str:
    return url.removesuffix("0") + "99"


def _no_right(admin: Any, url: str) -> str:
    admin.execute_command("ACL", "SETUSER", "shop", "on", ">pw", "~*", "&*", "+@all", "-lpush", "-set")
    return url.replace("://", "://shop:pw@")


def _other_type(admin: Any, url: str) -> str:
    admin.xadd("aigc", {"somebody": "else's"})
    return url


SPOILS: dict[Spoil, str] = {
    _no_password: "Redis wants a password, and AIGC_REDIS_URL gives none: redis://:password@host",
    _wrong_password: "Redis does not take the user or the password that AIGC_REDIS_URL gives",
    _needless_password: "Redis has no password, and AIGC_REDIS_URL gives one: leave it out there",
    _no_such_database: "Redis has no database of the number that AIGC_REDIS_URL ends in: /0 is always there",
    _no_right: "ACL SETUSER",
    _other_type: "name, or rename or delete it",
}


@pytest.fixture
def server(own_redis_server: RedisServer) -> Iterator[RedisServer]:
    yield own_redis_server
    tasks.configure()


def _by_aigc(stage: Stage, url: str) -> Worker:
    return CommandWorker(stage, [quick_aigc(), "worker"], REDIS_URL=url)


def _by_celery(stage: Stage, url: str) -> Worker:
    return stage.worker(REDIS_URL=url)


def _told(worker: Worker) -> list[str]:
    """What a worker says that ends by itself, without a traceback."""
    try:
        assert worker.process.wait(PATIENCE_S) == 1, worker.output()
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it waits\n{worker.output()[-3000:]}") from None
    assert "Traceback" not in worker.output()
    return worker.output().splitlines()


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("begin", [_by_aigc, _by_celery], ids=["aigc", "celery"])
def test_a_worker_that_is_kept_out_says_so_and_stops(server: RedisServer, spoil: Spoil, begin: Begin) -> None:
    """It does not wait as for an outage: a line for each cause, with the remedy, exit 1, no traceback."""
    with staged(server) as stage:
        url = spoil(server.client(), server.url)
        lines = [line for line in _told(begin(stage, url)) if line.startswith("aigc: ")]
    place = f"redis://127.0.0.1:{server.port}"
    assert all(line.startswith(f"aigc: {place}") for line in lines), lines
    assert any(SPOILS[spoil] in line for line in lines)
    assert "pw@" not in "".join(lines)


def test_a_worker_of_a_foreign_server_says_so_and_stops(server: RedisServer) -> None:
    """A certificate that is not trusted, and what is no Redis at all."""
    with staged(server) as stage, over_tls(server) as url:
        assert "?ssl_ca_certs=" in "".join(_told(_by_aigc(stage, url)))
        http = stage.vendor.url.replace("http", "redis")
        assert "is no Redis" in "".join(_told(_by_aigc(stage, http)))


@pytest.mark.parametrize("spoil", [each for each in SPOILS if each is not _needless_password])
@pytest.mark.parametrize("options", [{}, {"headers": {"a": "b"}}], ids=["short", "celery"])
def test_a_producer_that_is_kept_out_is_told_why(
    server: RedisServer, spoil: Spoil, options: dict[str, Any]
) -> None:
    """In words of ours, not those in which the protocol's versions are agreed upon.

    A password that is not needed is none of them: the newer protocol takes it.
    """
    tasks.configure(redis_url=spoil(server.client(), server.url))
    with pytest.raises(tasks.BrokerUnavailable) as caught:
        tasks.submit(text_to_image(), **options)
    assert SPOILS[spoil] in str(caught.value)
    assert "HELLO" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda admin: admin.config_set("maxmemory", 1),
        lambda admin: admin.config_set("min-replicas-to-write", 1),
        lambda admin: admin.replicaof("127.0.0.1", "1"),
    ],
    ids=["full", "no replicas", "a replica"],
)
def test_what_may_pass_keeps_nobody_out(server: RedisServer, spoil: Callable[[Any], object]) -> None:
    """A worker that begins waits for it, as one that runs does."""
    spoil(server.client())
    client: Any = connect(server.url)
    assert kept_out(client, KEYS) == []
    server.kill()
    assert kept_out(client, KEYS) == []
    client.close()
