"""deploy/systemd: what the units say, and what they start, run here with their environment and credentials.

What systemd's own tools say of them: tests/debian/test_systemd.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import tasks
from tasks import results
from tests.conditions import PATIENCE_S, until
from tests.integration.native import ROOT
from tests.integration.stage import KEYS, faulty, staged
from tests.integration.units import FOLDER, UNITS, NativeUnit, read
from tests.integration.webhook_endpoint import SECRET, listening, output, publish, result
from tests.ports import free_port
from tests.redis_server import RedisServer
from worker.config import settings
from worker.local.signals import EXTRA_GRACE_S
from worker.services.asgi import STOP_WITHIN_S

WORKER = "aigc-worker@.service"


@pytest.fixture(autouse=True)
def _settings_of_others_come_back() -> Iterator[None]:
    yield
    tasks.configure()


def test_a_worker_has_time_to_settle_what_is_in_flight() -> None:
    """It is told to stop, and the others of its group are not; it is killed later than it may take."""
    unit, defaults = read(WORKER), settings.load({"AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"})
    longest_s = defaults.connect_timeout_s + defaults.read_timeout_s + EXTRA_GRACE_S

    assert int(unit["TimeoutStopSec"][0]) >= longest_s + 10
    assert (unit["KillSignal"], unit["KillMode"]) == (["SIGTERM"], ["mixed"])


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_never_gives_up(unit: str) -> None:
    """However it ended and however often, it is started again: Redis may be away for hours."""
    found = read(unit)

    assert found["Restart"] == ["always"]
    assert found["StartLimitIntervalSec"] == ["0"]
    assert int(found["RestartSec"][0]) >= 1
    assert "WatchdogSec" not in found, "nothing here tells systemd that it lives"
    assert {"network.target", "redis-server.service"} <= set(found["After"][0].split()), (
        "it stops before them"
    )
    assert int(found["TimeoutStopSec"][0]) > STOP_WITHIN_S


def test_what_is_in_flight_outlives_the_unit() -> None:
    """The folder is a StateDirectory of all instances, and no temporary one, which goes with the unit."""
    unit = read(WORKER)

    assert "AIGC_STATE_DIR=%S/aigc-worker" in unit["Environment"]
    assert unit["StateDirectory"] == ["aigc-worker"]
    assert "%i" not in " ".join(unit["StateDirectory"] + unit["Environment"])
    assert "TMPDIR=/var/tmp" in unit["Environment"], "on disk; PrivateTmp has one of its own"
    assert not {"ProcSubset", "PrivatePIDs", "DynamicUser"} & set(unit), "who lives has to be seen"


@pytest.mark.parametrize("unit", UNITS)
def test_no_secret_is_in_the_environment(unit: str) -> None:
    """Each is a credential that the unit loads, and is named by its file."""
    found = read(unit)
    loaded = {line.partition(":")[0] for line in found["LoadCredential"]}
    named = [word for line in found["Environment"] for word in line.split() if "_FILE=" in word]

    assert named
    assert {word.partition("=%d/")[2] for word in named} <= loaded
    assert all(
        line.partition(":")[2].startswith("/etc/aigc/credentials/") for line in found["LoadCredential"]
    )


def test_the_user_is_made() -> None:
    """By sysusers.d; all units run as it."""
    assert "\nu aigc - " in (FOLDER / "aigc.sysusers.conf").read_text()
    assert {user for unit in UNITS for user in read(unit)["User"]} == {"aigc"}


def test_the_page_names_each_credential() -> None:
    """Of each unit."""
    page = (ROOT / "docs" / "how-to" / "deploy-systemd.md").read_text()
    for unit in UNITS:
        for line in read(unit)["LoadCredential"]:
            assert line.partition(":")[2].removeprefix("/etc/aigc/") in page


def test_worker_starts(redis_server: RedisServer, tmp_path: Path) -> None:
    """Its keys and Redis are credentials; it works, keeps its log in the state directory, and ends with 0."""
    tasks.configure(redis_url=redis_server.url)
    with staged(redis_server) as stage:
        credentials = {
            "redis-url-worker": f"{redis_server.url}\n",
            "access-key": f"{KEYS.access_key}\n",
            "secret-key": f"{KEYS.secret_key}\n",
        }
        endpoint = {"AIGC_ENDPOINT": stage.vendor.url}
        instead = {"/var/tmp": str(tmp_path)}
        unit = NativeUnit(WORKER, tmp_path, credentials, settings=endpoint, instead=instead)
        with unit.running() as worker:
            job = tasks.submit(faulty())
            worker.wait(lambda: results.get(job) is not None)
            assert list((unit.state / "aigc-worker").iterdir())
            assert worker.terminate() == 0


def test_ui_starts(redis_server: RedisServer, tmp_path: Path) -> None:
    """At a loopback address, so without a token."""
    port = free_port()
    instead, credentials = {"aigc ui": f"aigc ui --port {port}"}, {"redis-url-ui": redis_server.url}
    with NativeUnit("aigc-ui.service", tmp_path, credentials, instead=instead).running() as ui:
        ui.wait(lambda: answers(f"http://127.0.0.1:{port}/metrics"))
        assert ui.terminate() == 0


def test_events_start(redis_server: RedisServer, tmp_path: Path) -> None:
    """With a configuration that names a file of the folder of credentials."""
    port = free_port()
    instead = {"/etc/aigc/EVENTS.toml": f"{tmp_path}/EVENTS.toml --port {port}"}
    credentials = {"redis-url-events": redis_server.url, "webhooks/shopify": "a secret for tests\n"}
    unit = NativeUnit("aigc-events.service", tmp_path, credentials, instead=instead)
    secret = unit.credentials / "webhooks_shopify"
    (tmp_path / "EVENTS.toml").write_text(f'[shopify]\nsecret_files = ["{secret}"]\nmapping = "shopify"\n')
    with unit.running() as events:
        events.wait(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
        assert events.terminate() == 0


def test_forward_starts(redis_server: RedisServer, tmp_path: Path) -> None:
    """It sends to the endpoint of aigc.env, signed with its credential."""
    publish(redis_server.client(), result("a"), output("a", "t"))
    credentials = {"redis-url-forward": redis_server.url, "forward-secret": f"{SECRET}\n"}
    with listening() as endpoint:
        endpoint_of = {"FORWARD_TO": endpoint.url}
        unit = NativeUnit("aigc-forward.service", tmp_path, credentials, settings=endpoint_of)
        with unit.running() as forward:
            until(lambda: len(endpoint.taken) == 2, "both webhooks")
            assert forward.terminate() == 0


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=PATIENCE_S).ok
    except requests.ConnectionError:
        return False
