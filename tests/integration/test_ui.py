"""`aigc ui` as a scraper and an operator meet it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.conditions import PATIENCE_S, until
from tests.integration.desk import Desk
from tests.integration.ui_service import UiService, aigc_ui
from tests.redis_server import RedisServer
from worker.config.settings import foreign_environ

TOKEN = "a-token-of-some-length"


@pytest.fixture
def ui(redis_server: RedisServer, tmp_path: Path) -> Iterator[UiService]:
    with UiService(redis_server.url, tmp_path) as ui:
        yield ui


def test_it_serves_until_it_is_told_to_end(ui: UiService) -> None:
    """By SIGTERM it ends with 0, and says nothing more."""
    index = ui.get("/")
    assert (index.status_code, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert all(f'href="{path}"' in index.text for path in ("metrics", "api/status", "healthz"))
    assert ui.get("/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert ui.get("/elsewhere").status_code == 404
    assert requests.post(f"{ui.url}/metrics", timeout=PATIENCE_S).status_code == 405
    assert ui.stop() == 0
    assert ui.log.read_text() == ""


def test_the_status_is_that_of_the_command(ui: UiService, desk: Desk) -> None:
    """The same document, but for what time has changed."""
    desk.add_dead_letter("held")
    answer = ui.get("/api/status")
    (printed,) = desk.aigc("status", "--json").documents
    shown = json.loads(answer.text)
    for document in (printed, shown):
        for worker in document["workers"]:
            worker.pop("beat_s"), worker.pop("pulse_s")
    assert shown == printed
    assert shown["jobs"]["unknown"] == 1
    assert answer.headers["cache-control"] == "no-store"


def test_a_redis_that_is_away_is_said_and_comes_back(tmp_path: Path) -> None:
    """Metrics and status are 503 with the reason, never an old number; the service itself stays healthy."""
    with RedisServer() as server, UiService(server.url, tmp_path) as ui:
        assert ui.get("/metrics").status_code == 200
        server.kill()
        (answer,) = until(partial(away, ui), "that Redis is away")
        assert answer.text.startswith("Redis does not answer: ")
        assert answer.headers["retry-after"] == "5"
        assert ui.get("/api/status").status_code == 503
        until(lambda: ui.get("/healthz").json() == {"status": "ok", "redis": "away"}, "the health to say so")
        server.start()
        until(lambda: ui.get("/metrics").status_code == 200, "the metrics")
        until(lambda: ui.get("/healthz").json() == {"status": "ok", "redis": "ok"}, "the health to say so")
        assert ui.stop() == 0
        assert "Redis is away" in ui.log.read_text()


def away(ui: UiService) -> list[requests.Response]:
    answer = ui.get("/metrics")
    return [answer] if answer.status_code == 503 else []


def test_a_wrong_password_is_named_and_not_shown(redis_server: RedisServer, tmp_path: Path) -> None:
    """In the words of the other commands."""
    url = redis_server.url.replace("redis://", "redis://:hidden-pw@")
    with UiService(url, tmp_path) as ui:
        answer = ui.get("/metrics")
        assert (answer.status_code, "AIGC_REDIS_URL" in answer.text) == (503, True)
        assert "hidden-pw" not in answer.text + ui.log.read_text()


def test_with_a_token_it_serves_others_than_this_machine(redis_server: RedisServer, tmp_path: Path) -> None:
    """Whoever has it, and nobody else; probes need none."""
    with UiService(redis_server.url, tmp_path, "--host", "0.0.0.0", AIGC_UI_TOKEN=TOKEN) as ui:
        for path in ("/", "/metrics", "/api/status"):
            refused = ui.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="aigc"')
            assert ui.get(path, Authorization=f"Bearer {TOKEN}x").status_code == 401
            assert ui.get(path, Authorization=f"Bearer {TOKEN}", Host="metrics.example").status_code == 200
        assert ui.get("/healthz").status_code == 200


def test_without_a_token_a_strange_name_is_refused(ui: UiService) -> None:
    """What a browser on this machine may be talked into."""
    assert ui.get("/metrics", Host="evil.example").status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_a_token_it_does_not_listen_elsewhere(redis_server: RedisServer, host: str) -> None:
    """It says so and ends with 1."""
    environ = foreign_environ() | {"AIGC_REDIS_URL": redis_server.url}
    done = subprocess.run(
        aigc_ui("--host", host, "--port", "0"),
        env=environ, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("aigc: AIGC_UI_TOKEN must be set, or AIGC_UI_TOKEN_FILE: ")


def test_a_port_in_use_is_named(ui: UiService, redis_server: RedisServer) -> None:
    """As by the other services."""
    port = ui.url.rpartition(":")[2]
    environ = foreign_environ() | {"AIGC_REDIS_URL": redis_server.url}
    done = subprocess.run(
        aigc_ui("--port", port), env=environ, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"aigc: cannot listen on 127.0.0.1:{port}: ")
