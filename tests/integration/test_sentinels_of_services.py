"""What workers and services say and do where a URL names sentinels."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import redis

import tasks
from tasks.redis_errors import refusal
from tests.conditions import PATIENCE_S, until
from tests.fake_sentinel import sentinel, url_of
from tests.integration import test_events, test_forward_process
from tests.integration.webhook_endpoint import listening, publish, result
from tests.quick_python import quick_aigc
from tests.redis_server import RedisServer
from tests.unit.services.events.signing import DELIVERIES, PRODUCT
from tests.unit.tasks.samples import text_to_image
from worker.store.keys import KeyNames
from worker.store.scripts import connect
from worker.store.selftest import kept_out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "watches no primary called shop"),
        ("-NOAUTH Authentication required.\r\n", "wants a password: sentinel_password"),
        ("-NOPERM this user has no permissions\r\n", "+sentinel|get-master-addr-by-name"),
        ("-ERR unknown command 'SENTINEL'\r\n", "is no sentinel"),
    ],
)
def test_a_sentinel_that_nobody_can_use_is_named_with_the_remedy(answer: str | None, words: str) -> None:
    """A worker does not wait for it at its start, and a producer is told the same."""
    with sentinel(lambda: answer) as only:
        url = url_of(only.port, credentials="u:s3cret@")
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
    with closing(connect(url_of(gone), connections=1)) as client:
        assert kept_out(client, KeyNames("aigc", "aigc:results")) == []
        with pytest.raises(redis.ConnectionError, match="no sentinel gives the address of shop") as caught:
            client.ping()
    assert refusal(caught.value) == ""


@pytest.mark.parametrize("command", ["worker", "status", "doctor"])
def test_commands_say_what_is_wrong_of_the_sentinels(command: str) -> None:
    """In a line, and with no secret."""
    with sentinel(lambda: None) as only:
        url = url_of(only.port, credentials="u:s3cret@", query="?sentinel_password=s3cret2")
        environ = os.environ | {"AIGC_REDIS_URL": url, "AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"}
        done = subprocess.run(
            [quick_aigc(), command], env=environ, capture_output=True, text=True, timeout=PATIENCE_S
        )
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert "watches no primary called shop" in told
    assert "s3cret" not in told
    assert "Traceback" not in told


def test_events_and_forward_take_the_url_too(redis_server: RedisServer, tmp_path: Path) -> None:
    """As everything else does."""
    with sentinel(lambda: redis_server.port) as only, listening() as endpoint:
        shop = test_events.Shop(url_of(only.port), tmp_path)
        try:
            assert len(shop.post(PRODUCT, DELIVERIES[0]).json()["queued"]) == 1
        finally:
            shop.close()
        assert redis_server.client().llen("aigc") == 1
        publish(redis_server.client(), result("j", "submitted"))
        log = tmp_path / "forward.log"
        forwarder = test_forward_process.Process(url_of(only.port), log, "--to", endpoint.url)
        until(lambda: endpoint.taken, "the result")
        assert forwarder.stop() == 0
