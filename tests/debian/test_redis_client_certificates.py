"""A Redis with a CA of its own that wants a certificate of each client: Debian's, over TLS alone."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

import tasks
from tasks import results
from tests.conditions import PATIENCE_S, until
from tests.debian.tls_redis_server import CA, FILES, tls_redis, tls_sentinel
from tests.integration.stage import CommandWorker, faulty, staged
from tests.integration.test_redis_tls import WAYS
from tests.redis_server import RedisServer
from tests.unit.tasks.samples import text_to_image

AIGC = [sys.executable, "-c", "from worker.cli import main; main()"]

OURS = f"ssl_ca_certs={CA}&ssl_certfile={FILES}/client.crt&ssl_keyfile={FILES}/client.key"
WITH_PASSWORD = (
    f"ssl_ca_certs={CA}&ssl_certfile={FILES}/client.crt&ssl_keyfile={FILES}/client-encrypted.key"
    "&ssl_password=s3cret"
)
REFUSED = {
    "no certificate": f"ssl_ca_certs={CA}",
    "a stranger's": f"ssl_ca_certs={CA}&ssl_certfile={FILES}/stranger.crt&ssl_keyfile={FILES}/stranger.key",
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with tls_redis() as found:
        yield found


@pytest.fixture(autouse=True)
def _settings_of_others_come_back() -> Iterator[None]:
    yield
    tasks.configure()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", [OURS, WITH_PASSWORD], ids=["key", "encrypted key"])
def test_a_client_with_a_certificate_is_let_in(port: int, way: str, options: str) -> None:
    """Whichever way it goes, and with a key that has a password too."""
    tasks.configure(redis_url=f"rediss://127.0.0.1:{port}/0?{options}")
    WAYS[way]()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_a_client_without_one_is_kept_out(port: int, way: str, options: str) -> None:
    """Or with one of another CA; it is told so, and waits for nothing."""
    tasks.configure(redis_url=f"rediss://127.0.0.1:{port}/0?{options}")
    with pytest.raises(Exception, match=r"ssl_certfile|after TLS's handshake"):
        WAYS[way]()


def test_a_worker_and_commands_work_over_it(port: int, redis_server: RedisServer) -> None:
    """From the queue to the result, and what an operator asks."""
    url = f"rediss://127.0.0.1:{port}/1?{WITH_PASSWORD}"
    tasks.configure(redis_url=url)
    with staged(redis_server) as stage:
        worker = CommandWorker(stage, [*AIGC, "worker"], REDIS_URL=url)
        job = tasks.submit(faulty())
        assert results.wait(job, timeout_s=PATIENCE_S).status == "submitted"
        done = _aigc(url, "status", "--json")
        assert json.loads(done.stdout)["money"]["submitted"] == 1, done.stderr
        assert worker.terminate() == 0
        assert "s3cret" not in worker.output()


@pytest.mark.parametrize("command", ["worker", "doctor"])
@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_commands_name_what_is_missing(port: int, command: str, options: str) -> None:
    """The variable, and the options that give a certificate."""
    done = _aigc(f"rediss://127.0.0.1:{port}/0?{options}", command)
    told = done.stdout + done.stderr
    assert done.returncode == 1, told
    assert "AIGC_REDIS_URL" in told
    assert "ssl_certfile" in told
    assert "Traceback" not in told


def test_sentinel_over_tls_with_certificates(port: int) -> None:
    """The sentinel wants one as well, and is given the same."""
    with tls_sentinel("shop", port) as of_sentinel:
        url = f"rediss+sentinel://127.0.0.1:{of_sentinel}/shop?{OURS}"
        tasks.configure(redis_url=url)

        def taken() -> bool:
            tasks.submit(text_to_image())
            return True

        until(taken, "a job that is taken")
        assert asyncio.run(tasks.submit_async(text_to_image()))
        assert f"the sentinels name 127.0.0.1:{port}" in _aigc(url, "doctor").stdout
        tasks.configure(redis_url=f"rediss+sentinel://127.0.0.1:{of_sentinel}/shop?ssl_ca_certs={CA}")
        with pytest.raises(tasks.BrokerUnavailable, match="ssl_certfile"):
            tasks.submit(text_to_image())


def _aigc(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"AIGC_REDIS_URL": url, "AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"}
    return subprocess.run(
        [*AIGC, *arguments], env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
