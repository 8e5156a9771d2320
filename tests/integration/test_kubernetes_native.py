"""The containers of deploy/kubernetes, run here with the environment, files and probes of their manifests."""

from __future__ import annotations

from pathlib import Path

import requests

import tasks
from tasks import results
from tests.conditions import PATIENCE_S
from tests.integration.manifests import NativePod
from tests.integration.stage import faulty
from tests.integration.webhook_endpoint import SECRET, listening, output, publish, result
from tests.ports import free_port
from tests.redis_server import RedisServer

PRODUCTION, TRIAL = "overlays/production", "overlays/trial"
AS_TRIED = "redis://redis:6379/0"


def test_a_trial_submits(redis_server: RedisServer, tmp_path: Path) -> None:
    """The local vendor starts before the worker of its pod; all probes pass; a job ends; then none passes."""
    instead = {AS_TRIED: redis_server.url, "8081": str(free_port())}
    pod = NativePod(TRIAL, "aigc-worker", tmp_path, instead=instead)
    tasks.configure(redis_url=redis_server.url)
    try:
        with pod.running(0) as sandbox:
            sandbox.wait()
            with pod.running(1) as worker:
                worker.wait()
                job = tasks.submit(faulty())
                assert results.wait(job, timeout_s=PATIENCE_S).status == "submitted"
                assert worker.native.terminate() == 0
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    assert not worker.passes(probe)
    finally:
        tasks.configure()


def test_redis_may_go_away_beneath_a_worker(own_redis_server: RedisServer, tmp_path: Path) -> None:
    """It goes on passing its probe: to restart it brings no Redis back, and what it holds would be lost."""
    secrets = {
        "aigc-keys": {"access-key": "sandbox\n", "secret-key": "sandbox\n"},
        "aigc-redis": {"worker": f"{own_redis_server.url}\n"},
    }
    with NativePod("base", "aigc-worker", tmp_path, secrets=secrets).running() as worker:
        worker.wait()
        own_redis_server.kill()
        assert worker.passes("livenessProbe")


def test_ui_answers_whoever_brings_the_token(redis_server: RedisServer, tmp_path: Path) -> None:
    """Its probes need none."""
    instead = {AS_TRIED: redis_server.url, "8090": str(free_port()), "0.0.0.0": "127.0.0.1"}
    with NativePod(TRIAL, "aigc-ui", tmp_path, instead=instead).running() as ui:
        ui.wait()
        assert requests.get(f"{ui.url}/metrics", timeout=PATIENCE_S).status_code == 401
        asked = {"Authorization": "Bearer only-for-a-trial"}
        assert "aigc_queue_jobs" in requests.get(f"{ui.url}/metrics", headers=asked, timeout=PATIENCE_S).text
        assert ui.native.terminate() == 0
        assert not ui.passes("livenessProbe")


def test_events_take_what_is_signed(redis_server: RedisServer, tmp_path: Path) -> None:
    """With the configuration and the secret that are mounted."""
    secrets = {
        "aigc-redis": {"events": redis_server.url},
        "aigc-events": {"shopify-webhook": "a secret for tests\n"},
    }
    instead = {"8091": str(free_port()), "0.0.0.0": "127.0.0.1"}
    with NativePod(PRODUCTION, "aigc-events", tmp_path, secrets=secrets, instead=instead).running() as events:
        events.wait()
        assert requests.post(f"{events.url}/shopify", timeout=PATIENCE_S).status_code == 401
        assert events.native.terminate() == 0
        assert not events.passes("livenessProbe")


def test_forward_sends_to_the_endpoint_of_its_configuration(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """Signed with the secret that is mounted."""
    publish(redis_server.client(), result("a"), output("a", "t"))
    secrets = {"aigc-redis": {"forward": redis_server.url}, "aigc-forward": {"secret": f"{SECRET}\n"}}
    with listening() as endpoint:
        instead = {"https://shop.example/hooks/aigc": endpoint.url}
        pod = NativePod(PRODUCTION, "aigc-forward", tmp_path, secrets=secrets, instead=instead)
        with pod.running() as forward:
            forward.native.wait(lambda: len(endpoint.taken) == 2)
            assert forward.native.terminate() == 0
    assert [each.document["type"] for each in endpoint.taken] == ["job.submitted", "task.succeeded"]
