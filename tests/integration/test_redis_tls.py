"""TLS to Redis: the same certificate is trusted, or refused, on every way there is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from celery import group

import tasks
from tasks import results
from tests.conditions import PATIENCE_S
from tests.integration.stage import CommandWorker, faulty, staged
from tests.integration.tls_redis import CERTIFICATE, over_tls
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image
from worker.store.scripts import connect

LINK = "from worker.app import app; app.send_task('shop.done', queue='shop')"
"""How a worker sends what is linked to a job."""


async def _first(found: Any) -> None:
    try:
        async for _ in found:
            break
    finally:
        await asyncio.sleep(0.1)  # what was closed over TLS is closed in the loop's next rounds


WAYS: dict[str, Callable[[], object]] = {
    "submit": lambda: tasks.submit(text_to_image()),
    "dedupe": lambda: tasks.submit(text_to_image(), dedupe_key="a"),
    "countdown": lambda: tasks.submit(text_to_image(), countdown=1),
    "priority": lambda: tasks.submit(text_to_image(), priority=5),
    "many": lambda: list(tasks.submit_many([text_to_image()])),
    "signature": lambda: tasks.signature(text_to_image()).apply_async(),
    "group": lambda: group([tasks.signature(text_to_image())]).apply_async(),
    "replay": lambda: list(results.replay(follow=False)),
    "listen": lambda: list(results.listen(idle_timeout_s=0.1)),
    "consume": lambda: list(results.consume("shop", idle_timeout_s=0)),
    "alisten": lambda: asyncio.run(_first(results.alisten(idle_timeout_s=0.1))),
    "aconsume": lambda: asyncio.run(_first(results.aconsume("shop", idle_timeout_s=0))),
}


@pytest.fixture
def url(redis_server: RedisServer) -> Iterator[str]:
    with over_tls(redis_server) as url:
        yield url
    tasks.configure()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("option", ["", "?ssl_cert_reqs=required", "?ssl_check_hostname=false"])
def test_a_foreign_certificate_is_refused(url: str, redis_server: RedisServer, way: str, option: str) -> None:
    """Nothing is sent to a server that cannot show who it is, whichever way it would go."""
    tasks.configure(redis_url=url + option)
    with pytest.raises(Exception, match="certificate verify failed"):
        WAYS[way]()
    assert redis_server.client().keys() == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", [f"ssl_ca_certs={CERTIFICATE}", "ssl_cert_reqs=CERT_NONE"])
def test_what_the_url_says_of_tls_holds(url: str, way: str, options: str) -> None:
    """A certificate that it names is trusted, and any where it says so."""
    tasks.configure(redis_url=f"{url}?{options}")
    WAYS[way]()


@pytest.mark.parametrize("code", [LINK, ""], ids=["link", "status"])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_workers_own_ways_are_no_others(url: str, code: str, trusted: bool) -> None:
    """What is linked to a job goes by way of kombu, and commands by the worker's own client."""
    option = f"?ssl_ca_certs={CERTIFICATE}" if trusted else ""
    environ = os.environ | {"AIGC_REDIS_URL": url + option, "AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"}
    command = [sys.executable, "-c", code] if code else [quick_aigc(), "status"]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode == 0) is trusted, done.stderr
    assert ("certificate verify failed" in done.stderr) is not trusted


@pytest.mark.parametrize("right", ["+ping", "-ping"])
def test_a_new_connection_is_fit_for_use(url: str, redis_server: RedisServer, right: str) -> None:
    """What TLS says of its own after a handshake is no answer that was left unread."""
    admin: Any = redis_server.client()
    admin.execute_command("ACL", "SETUSER", "default", right)
    try:
        with closing(connect(f"{url}?ssl_ca_certs={CERTIFICATE}")) as client:
            pool = client.connection_pool
            connection = pool.connection_class(**pool.connection_kwargs)
            connection.connect()
            assert not connection.can_read(0.5)  # what the pool asks before it hands a connection out
            connection.disconnect()
    finally:
        admin.execute_command("ACL", "SETUSER", "default", "+ping")


def test_a_worker_works_over_tls(url: str, redis_server: RedisServer) -> None:
    """From the queue to the result, with a certificate of one's own."""
    with staged(redis_server) as stage:
        worker = CommandWorker(stage, [quick_aigc(), "worker"], REDIS_URL=f"{url}?ssl_ca_certs={CERTIFICATE}")
        assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
        assert worker.terminate() == 0


@pytest.mark.parametrize("command", ["worker", "doctor", "status", "submit"])
@pytest.mark.parametrize("option", ["db=2", "socket_timeout=1", "protocol=3", "ssl_ca_certs=/nowhere"])
def test_an_option_that_does_not_hold_is_one_line(command: str, option: str) -> None:
    """It names the variable, and there is no traceback, from whichever command."""
    environ = os.environ | {"AIGC_REDIS_URL": f"rediss://127.0.0.1:1/0?{option}"}
    environ |= {"AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"}
    line = '{"workflow": "TEXT2IMAGE"}'
    arguments = [quick_aigc(), command, *(["-"] if command == "submit" else [])]
    done = subprocess.run(
        arguments, env=environ, input=line, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1
    (told,) = (done.stdout + done.stderr).splitlines()
    assert "AIGC_REDIS_URL must be with" in told
    assert option.partition("=")[0] in told
