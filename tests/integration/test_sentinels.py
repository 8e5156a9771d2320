"""Which server a client takes for the primary, by what sentinels say that agree, lie, hang or refuse."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from importlib.util import find_spec
from typing import Any

import pytest
import redis

from tasks import sentinels
from tasks.clients import new_async_client, new_client
from tasks.redis_errors import refusal
from tasks.redis_url import sentinels_of
from tasks.sentinels import survey
from tests.conditions import until
from tests.fake_sentinel import Answer, FakeSentinel, sentinel, url_of
from tests.integration.tls_redis import CERTIFICATE, over_tls
from tests.redis_server import RedisServer

Made = Callable[..., list[FakeSentinel]]
SOCKET_TIMEOUT_S = 20


@pytest.fixture
def made() -> Iterator[Made]:
    with ExitStack() as stack:
        yield lambda *answers: [stack.enter_context(sentinel(answer)) for answer in answers]


@pytest.fixture(autouse=True)
def _answers_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not what these tests are about."""
    monkeypatch.setattr(sentinels, "ANSWER_WITHIN_S", SOCKET_TIMEOUT_S)


@pytest.fixture
def replica(redis_server: RedisServer) -> Iterator[RedisServer]:
    with RedisServer() as server:
        client: Any = server.client()
        client.replicaof("127.0.0.1", redis_server.port)
        yield server


def _blocking(url: str) -> int:
    with closing(new_client(url, socket_timeout_s=SOCKET_TIMEOUT_S)) as client:
        found: Any = client.info("server")
    return int(found["tcp_port"])


def _of_worker(url: str) -> int:
    from worker.store.scripts import connect

    with closing(connect(url, connections=1)) as client:
        return int(client.info("server")["tcp_port"])


def _async(url: str) -> int:
    async def ask() -> int:
        client = new_async_client(url, socket_timeout_s=SOCKET_TIMEOUT_S)
        try:
            return int((await client.info("server"))["tcp_port"])
        finally:
            await client.aclose()

    return asyncio.run(ask())


_WORKERS = [_of_worker] if find_spec("hiredis") else []
"""Not in a base install, which has none of the worker's packages: see `./dev lowest`."""

WAYS = pytest.mark.parametrize("port_of", [_blocking, _async, *_WORKERS])


@WAYS
def test_the_primary_that_a_sentinel_names_is_used(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int]
) -> None:
    """Whoever asks, and whatever kind of client it is."""
    (only,) = made(lambda: redis_server.port)
    assert port_of(url_of(only.port)) == redis_server.port


@WAYS
@pytest.mark.parametrize("first", [lambda: None, lambda: "-ERR unknown command 'SENTINEL'\r\n"])
def test_the_next_sentinel_is_asked(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int], first: Answer
) -> None:
    """Where one does not know the primary, or is none at all."""
    of_first, of_second = made(first, lambda: redis_server.port)
    assert port_of(url_of(of_first.port, of_second.port)) == redis_server.port


@WAYS
def test_a_sentinel_that_never_answers_is_waited_for_only_so_long(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the next one is asked."""
    monkeypatch.setattr(sentinels, "ANSWER_WITHIN_S", 2)
    silent, second = made(lambda: "", lambda: redis_server.port)
    assert port_of(url_of(silent.port, second.port)) == redis_server.port
    assert silent.asked == 1


@WAYS
def test_a_sentinel_that_is_gone_is_passed_over(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int]
) -> None:
    """Nothing listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = listener.getsockname()[1]
    (there,) = made(lambda: redis_server.port)
    assert port_of(url_of(gone, there.port)) == redis_server.port


@WAYS
def test_a_replica_is_not_taken_for_the_primary(
    made: Made, redis_server: RedisServer, replica: RedisServer, port_of: Callable[[str], int]
) -> None:
    """An isolated sentinel names the old one for as long as it is: the next attempt asks another."""
    stale, right = made(lambda: replica.port, lambda: redis_server.port)
    url = url_of(stale.port, right.port)
    with pytest.raises(redis.ConnectionError, match="is a replica, and a sentinel names it"):
        port_of(url)
    assert port_of(url) == redis_server.port


@WAYS
def test_a_dead_primary_is_not_asked_for_at_one_sentinel_only(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int]
) -> None:
    """The same where what it names does not listen any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = listener.getsockname()[1]
    stale, right = made(lambda: dead, lambda: redis_server.port)
    url = url_of(stale.port, right.port)
    with pytest.raises(redis.ConnectionError, match=str(dead)):
        port_of(url)
    assert port_of(url) == redis_server.port


def _once(url: str) -> int:
    with closing(new_client(url, socket_timeout_s=2)) as client:
        found: Any = client.info("server")
    return int(found["tcp_port"])


def _once_async(url: str) -> int:
    async def ask() -> int:
        client = new_async_client(url, socket_timeout_s=2)
        try:
            return int((await client.info("server"))["tcp_port"])
        finally:
            await client.aclose()

    return asyncio.run(ask())


@pytest.mark.parametrize("port_of", [_once, _once_async])
def test_a_primary_that_hangs_is_not_asked_for_at_one_sentinel_only(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int]
) -> None:
    """Its kernel still takes connections; a sentinel that was cut off with it goes on naming it."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        stale, right = made(lambda: hung.getsockname()[1], lambda: redis_server.port)
        url = url_of(stale.port, right.port)

        def reached() -> bool:
            try:
                return port_of(url) == redis_server.port
            except redis.RedisError:
                return False

        until(reached, "the primary that the other one names")


def test_a_lost_connection_asks_anew(made: Made, redis_server: RedisServer, replica: RedisServer) -> None:
    """And so does one to a primary that was demoted and says READONLY; neither is asked about otherwise."""
    named = [replica.port]
    new: Any = replica.client()
    new.replicaof("NO", "ONE")
    (only,) = made(lambda: named[0])
    with closing(new_client(url_of(only.port), socket_timeout_s=SOCKET_TIMEOUT_S)) as client:
        client.set("a", 1)
        client.set("a", 2)
        assert only.asked == 1
        named[0] = redis_server.port
        new.replicaof("127.0.0.1", redis_server.port)
        with pytest.raises(redis.RedisError):  # its connections are closed, or it may not write
            client.set("b", 1)
        client.set("b", 1)
    assert redis_server.client().get("b") == b"1"


def test_the_right_to_role_is_not_needed(made: Made, redis_server: RedisServer) -> None:
    """Where a managed Redis does not give it, the sentinel's word has to do."""
    admin: Any = redis_server.client()
    admin.execute_command("ACL", "SETUSER", "default", "-role")
    try:
        (only,) = made(lambda: redis_server.port)
        assert _blocking(url_of(only.port)) == _async(url_of(only.port)) == redis_server.port
    finally:
        admin.execute_command("ACL", "SETUSER", "default", "+role")


@pytest.mark.parametrize("sentinels_tls", [True, False])
@pytest.mark.parametrize("trusted", [True, False])
@WAYS
def test_tls_to_server_and_sentinels(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int], trusted: bool, sentinels_tls: bool
) -> None:
    """By one set of options; `sentinel_tls=false` where the sentinels speak none."""
    with over_tls(redis_server) as server_url, ExitStack() as stack:
        front = int(server_url.rpartition(":")[2].partition("/")[0])
        (only,) = made(lambda: front)
        port = only.port
        if sentinels_tls:
            behind: Any = only
            port = int(stack.enter_context(over_tls(behind)).rpartition(":")[2].partition("/")[0])
        options = [f"ssl_ca_certs={CERTIFICATE}"] * trusted + ["sentinel_tls=false"] * (not sentinels_tls)
        url = url_of(port, scheme="rediss", query=f"?{'&'.join(options)}" if options else "")
        if trusted:
            assert port_of(url) == redis_server.port
        else:
            with pytest.raises(redis.ConnectionError) as caught:
                port_of(url)
            assert "CERTIFICATE_VERIFY_FAILED" in refusal(caught.value)


def test_each_sentinel_is_asked_by_itself(made: Made) -> None:
    """What each says of the primary, or what is wrong with it: they may not agree."""
    answers: list[Answer] = [lambda: 6400, lambda: None, lambda: "-NOAUTH Authentication required.\r\n"]
    named = sentinels_of(url_of(*(each.port for each in made(*answers))))
    assert named
    words = [said for _, said in survey(named)]
    assert words[0] == "127.0.0.1:6400"
    assert "watches no primary called shop" in words[1]
    assert "password" in words[2] or "NOAUTH" in words[2]
