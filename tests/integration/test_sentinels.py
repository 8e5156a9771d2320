"""Which server a client takes for the primary, by what sentinels say that agree, lie, hang or refuse."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import redis

import tasks
from tasks.clients import new_async_client, new_client
from tasks.redis_errors import refusal
from tasks.redis_url import sentinels_of
from tasks.sentinels import survey
from tests.fake_sentinel import Answer, FakeSentinel, sentinel
from tests.integration import test_events, test_forward_process
from tests.integration.stage import PATIENCE_S, until
from tests.integration.tls_redis import CERTIFICATE, over_tls
from tests.integration.webhook_endpoint import listening, publish, result
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from tests.unit.services.events.signing import DELIVERIES, PRODUCT
from tests.unit.tasks.samples import text_to_image
from worker.store.keys import KeyNames
from worker.store.scripts import connect
from worker.store.selftest import kept_out

Made = Callable[..., list[FakeSentinel]]


@pytest.fixture
def made() -> Iterator[Made]:
    with ExitStack() as stack:
        yield lambda *answers: [stack.enter_context(sentinel(answer)) for answer in answers]


@pytest.fixture
def replica(redis_server: RedisServer) -> Iterator[RedisServer]:
    with RedisServer() as server:
        client: Any = server.client()
        client.replicaof("127.0.0.1", redis_server.port)
        yield server


def _url(*ports: int, query: str = "", credentials: str = "", scheme: str = "redis") -> str:
    return f"{scheme}+sentinel://{credentials}{','.join(f'127.0.0.1:{port}' for port in ports)}/shop{query}"


def _blocking(url: str) -> int:
    with closing(new_client(url, socket_timeout_s=5)) as client:
        found: Any = client.info("server")
    return int(found["tcp_port"])


def _of_worker(url: str) -> int:
    with closing(connect(url, connections=1)) as client:
        return int(client.info("server")["tcp_port"])


def _async(url: str) -> int:
    async def ask() -> int:
        client = new_async_client(url, socket_timeout_s=5)
        try:
            return int((await client.info("server"))["tcp_port"])
        finally:
            await client.aclose()

    return asyncio.run(ask())


WAYS = pytest.mark.parametrize("port_of", [_blocking, _of_worker, _async])


@WAYS
def test_the_primary_that_a_sentinel_names_is_used(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int]
) -> None:
    """Whoever asks, and whatever kind of client it is."""
    (only,) = made(lambda: redis_server.port)
    assert port_of(_url(only.port)) == redis_server.port


@WAYS
@pytest.mark.parametrize("first", [lambda: None, lambda: "-ERR unknown command 'SENTINEL'\r\n", lambda: ""])
def test_the_next_sentinel_is_asked(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int], first: Answer
) -> None:
    """Where one does not know the primary, is none at all, or never answers."""
    of_first, of_second = made(first, lambda: redis_server.port)
    assert port_of(_url(of_first.port, of_second.port)) == redis_server.port


@WAYS
def test_a_sentinel_that_is_gone_is_passed_over(
    made: Made, redis_server: RedisServer, port_of: Callable[[str], int]
) -> None:
    """Nothing listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = listener.getsockname()[1]
    (there,) = made(lambda: redis_server.port)
    assert port_of(_url(gone, there.port)) == redis_server.port


@WAYS
def test_a_replica_is_not_taken_for_the_primary(
    made: Made, redis_server: RedisServer, replica: RedisServer, port_of: Callable[[str], int]
) -> None:
    """An isolated sentinel names the old one for as long as it is: the next attempt asks another."""
    stale, right = made(lambda: replica.port, lambda: redis_server.port)
    url = _url(stale.port, right.port)
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
    url = _url(stale.port, right.port)
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
        url = _url(stale.port, right.port)

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
    with closing(new_client(_url(only.port), socket_timeout_s=5)) as client:
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
        assert _blocking(_url(only.port)) == _async(_url(only.port)) == redis_server.port
    finally:
        admin.execute_command("ACL", "SETUSER", "default", "+role")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "watches no primary called shop"),
        ("-NOAUTH Authentication required.\r\n", "wants a password: sentinel_password"),
        ("-NOPERM this user has no permissions\r\n", "+sentinel|get-master-addr-by-name"),
        ("-ERR unknown command 'SENTINEL'\r\n", "is no sentinel"),
    ],
)
def test_a_sentinel_that_nobody_can_use_is_named_with_the_remedy(
    made: Made, answer: str | None, words: str
) -> None:
    """A worker does not wait for it at its start, and a producer is told the same."""
    (only,) = made(lambda: answer)
    url = _url(only.port, credentials="u:s3cret@")
    with closing(connect(url, connections=1)) as client:
        (line,) = kept_out(client, KeyNames("aigc", "aigc:results"))
    tasks.configure(redis_url=url)
    try:
        with pytest.raises(tasks.BrokerUnavailable) as caught:
            tasks.submit(text_to_image())
    finally:
        tasks.configure()
    for told in (line, str(caught.value)):
        assert words in told
        assert f"127.0.0.1:{only.port}" in told
        assert "AIGC_REDIS_URL" in told
        assert "s3cret" not in told


def test_sentinels_that_are_away_are_waited_for() -> None:
    """That may pass: no remedy is told, and no start refused."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = listener.getsockname()[1]
    with closing(connect(_url(gone), connections=1)) as client:
        assert kept_out(client, KeyNames("aigc", "aigc:results")) == []
        with pytest.raises(redis.ConnectionError, match="no sentinel gives the address of shop") as caught:
            client.ping()
    assert refusal(caught.value) == ""


@pytest.mark.parametrize("command", ["worker", "status", "doctor"])
def test_commands_say_what_is_wrong_of_the_sentinels(made: Made, command: str) -> None:
    """In a line, and with no secret."""
    (only,) = made(lambda: None)
    url = _url(only.port, credentials="u:s3cret@", query="?sentinel_password=s3cret2")
    environ = os.environ | {"AIGC_REDIS_URL": url, "AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"}
    done = subprocess.run(
        [quick_aigc(), command], env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert "watches no primary called shop" in told
    assert "s3cret" not in told
    assert "Traceback" not in told


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
        url = _url(port, scheme="rediss", query=f"?{'&'.join(options)}" if options else "")
        if trusted:
            assert port_of(url) == redis_server.port
        else:
            with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
                port_of(url)


def test_events_and_forward_take_the_url_too(made: Made, redis_server: RedisServer, tmp_path: Path) -> None:
    """As everything else does."""
    (only,) = made(lambda: redis_server.port)
    shop = test_events.Shop(_url(only.port), tmp_path)
    try:
        assert len(shop.post(PRODUCT, DELIVERIES[0]).json()["queued"]) == 1
    finally:
        shop.close()
    assert redis_server.client().llen("aigc") == 1
    with listening() as endpoint:
        publish(redis_server.client(), result("j", "submitted"))
        log = tmp_path / "forward.log"
        forwarder = test_forward_process.Process(_url(only.port), log, "--to", endpoint.url)
        until(lambda: endpoint.taken, "the result")
        assert forwarder.stop() == 0


def test_each_sentinel_is_asked_by_itself(made: Made) -> None:
    """What each says of the primary, or what is wrong with it: they may not agree."""
    answers: list[Answer] = [lambda: 6400, lambda: None, lambda: "-NOAUTH Authentication required.\r\n"]
    sentinels = sentinels_of(_url(*(each.port for each in made(*answers))))
    assert sentinels
    words = [said for _, said in survey(sentinels)]
    assert words[0] == "127.0.0.1:6400"
    assert "watches no primary called shop" in words[1]
    assert "password" in words[2] or "NOAUTH" in words[2]
