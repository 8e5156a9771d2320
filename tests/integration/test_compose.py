"""docker-compose.yml and Dockerfile, proven without an engine: their form, and each command run natively."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.conditions import PATIENCE_S, until
from tests.integration.compose import COMPOSE, SERVICES, Native
from tests.integration.native import ROOT, SCRIPTS
from tests.integration.webhook_endpoint import SECRET, listening, output, publish, result
from tests.ports import free_port
from tests.redis_server import RedisServer
from worker.config import settings
from worker.dev.embedded import server_binary
from worker.local.signals import EXTRA_GRACE_S

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_fits_the_compose_specification() -> None:
    """The file is valid by the schema of the Compose specification."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*check, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfile_has_no_finding() -> None:
    """hadolint finds nothing to complain about in the Dockerfile."""
    command = [f"{SCRIPTS}/hadolint", "--no-color", "Dockerfile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_all_that_a_service_names_exists(name: str) -> None:
    """Each volume, secret, dependency, shared network and build target of a service is defined."""
    service = SERVICES[name]
    volumes = {mount.split(":")[0] for mount in service.get("volumes", [])}
    dependencies = service.get("depends_on", {})
    _, _, network_of = service.get("network_mode", "").partition("service:")
    target = service.get("build", {}).get("target")

    assert volumes <= set(COMPOSE["volumes"])
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert {each["source"] for each in service.get("configs", [])} <= set(COMPOSE["configs"])
    assert set(dependencies) <= set(SERVICES)
    assert not network_of or network_of in dependencies
    assert not target or re.search(rf"^FROM .* AS {target}$", DOCKERFILE, re.MULTILINE)
    for dependency, how in dependencies.items():
        profiles, needed = set(service.get("profiles", [])), set(SERVICES[dependency].get("profiles", []))
        assert not needed or (profiles and profiles <= needed)
        if how["condition"] == "service_healthy":
            assert SERVICES[dependency]["healthcheck"]["test"]


def test_images_are_made_of_files_that_are_there() -> None:
    """What the Dockerfile copies exists and is let through by .dockerignore; secrets are not."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)

    assert copied
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        assert source.split("/")[0] in allowed
    assert not {"secrets", ".env", ".git", "."} & allowed
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    assert {"/secrets/", "/.env"} <= set((ROOT / ".gitignore").read_text().split())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded(name: str) -> None:
    """Its image is a version, its log rotates, its ports are this machine's, its memory has a limit."""
    service = SERVICES[name]
    _, _, tag = service["image"].partition(":")

    assert "build" in service or re.match(r"v?\d+\.\d+\.\d+", tag)
    assert service["logging"]["options"]["max-size"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    # Redis is bounded by its own maxmemory: a kill for want of memory is the worst that it can meet.
    if name not in ("redis", "sandbox", "sandbox-demo"):
        assert service["deploy"]["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", ["worker", "events", "forward", "ui"])
def test_settings_of_env_reach_all_services(name: str) -> None:
    """A queue's name or a Redis of .env is that of all services: none of them looks at another queue."""
    service = SERVICES[name]

    assert service["env_file"] == [{"path": ".env", "required": False}]
    assert service["environment"]["AIGC_REDIS_URL"] == "${AIGC_REDIS_URL:-redis://redis:6379/0}"


def test_redis_keeps_what_it_was_given() -> None:
    """Redis writes an append-only file to a volume, and refuses writes rather than evict."""
    command = " ".join(SERVICES["redis"]["command"])

    for option in (
        "--appendonly yes",
        "--appendfsync everysec",
        "--maxmemory-policy noeviction",
        "--dir /data",
    ):
        assert option in command
    assert SERVICES["redis"]["volumes"] == ["redis-data:/data"]


@pytest.mark.parametrize("name", ["worker", "sandbox-worker"])
def test_worker_can_be_scaled_and_stops_in_time(name: str) -> None:
    """A worker has no fixed name or port, is watched, and may finish an attempt before it is killed."""
    service = SERVICES[name]
    defaults = settings.load({"AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"})

    assert not {"container_name", "ports", "hostname"} & set(service)
    assert service["healthcheck"]["test"] == ["CMD", "aigc", "health"]
    grace_s = int(service["stop_grace_period"].removesuffix("s"))
    assert grace_s > defaults.connect_timeout_s + defaults.read_timeout_s + EXTRA_GRACE_S


@pytest.mark.parametrize("name", ["worker", "sandbox-worker"])
def test_a_worker_keeps_its_in_flight_log_on_a_volume(name: str) -> None:
    """The folder that the image names, and its user owns, outlives the container."""
    (folder,) = re.findall(r"AIGC_STATE_DIR=(\S+)", DOCKERFILE)

    assert SERVICES[name]["volumes"] == [f"worker-state:{folder}"]
    assert "AIGC_STATE_DIR" not in SERVICES[name]["environment"]
    assert (
        SERVICES["worker"]["environment"]["TMPDIR"] == folder
    )  # no file on its way to a bucket is in memory
    assert re.search(r'install --directory --owner=aigc .*"\$AIGC_STATE_DIR"', DOCKERFILE)


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "redis"])
def test_our_containers_can_do_little(name: str) -> None:
    """Ours run without root, capabilities and a writable file system."""
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["10001"]


def test_sandbox_is_kept_apart() -> None:
    """No sandbox job can reach the real vendor: its queue and database are not the real worker's."""
    real, sandbox = (SERVICES[name]["environment"] for name in ("worker", "sandbox-worker"))

    assert sandbox["AIGC_ENDPOINT"].startswith("http://127.0.0.1:")
    for name in ("AIGC_REDIS_URL", "AIGC_QUEUE", "AIGC_RESULTS"):
        assert sandbox[name] == SERVICES["sandbox-demo"]["environment"][name] != real.get(name)


@pytest.fixture
def native(redis_server: RedisServer, tmp_path: Path) -> Native:
    return Native(redis_server.url, tmp_path)


def test_redis_command_runs(tmp_path: Path) -> None:
    """The flags of the redis service start a server, which leaves its append-only file when it is stopped."""
    port = free_port()
    flags = [str(tmp_path) if flag == "/data" else flag for flag in SERVICES["redis"]["command"][1:]]
    local = ["--bind", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([str(server_binary()), *flags, *local], stdout=log, stderr=log)
    try:
        log_file = tmp_path / "log"
        until(lambda: b"Ready to accept" in log_file.read_bytes() or server.poll() is not None, "the start")
        assert server.poll() is None, log_file.read_text()
    finally:
        server.terminate()
        assert server.wait(timeout=PATIENCE_S) == 0
    assert (tmp_path / "appendonlydir").is_dir()


def test_sandbox_profile_runs(native: Native) -> None:
    """Sandbox, worker and demo producer, started as in the profile: every sample gets a task id."""
    with native.running("sandbox"):
        native.wait("sandbox", lambda: native.healthy("sandbox"))
        with native.running("sandbox-worker") as worker, native.running("sandbox-demo") as demo:
            native.wait("sandbox-demo", lambda: len(results(native.output("sandbox-demo"))) == 3)
            native.wait("sandbox-worker", lambda: native.healthy("sandbox-worker"))
            demo.send_signal(signal.SIGINT)
            assert demo.wait(timeout=PATIENCE_S) == 130
            worker.terminate()
            assert worker.wait(timeout=PATIENCE_S) == 0

    found = results(native.output("sandbox-demo"))
    assert {result["status"] for result in found} == {"submitted"}
    assert all(result["taskId"] for result in found)
    assert not native.healthy("sandbox-worker")


def test_worker_runs_with_its_secrets_as_files(native: Native, tmp_path: Path) -> None:
    """The worker reads both keys from its secret files, and consumes."""
    for name in SERVICES["worker"]["secrets"]:
        (tmp_path / name).write_text("sandbox\n")
    endpoint = {"AIGC_ENDPOINT": native.sandbox_endpoint}

    with native.running("sandbox"), native.running("worker", **endpoint) as worker:
        native.wait("worker", lambda: native.healthy("worker", **endpoint))
        worker.terminate()
        assert worker.wait(timeout=PATIENCE_S) == 0


def test_events_profile_runs(native: Native, tmp_path: Path) -> None:
    """The webhooks' service reads the configuration and the secret that are mounted, and stops when asked."""
    (secret,) = SERVICES["events"]["secrets"]
    (tmp_path / secret).write_text("sandbox\n")
    mapping = f'[shopify]\nsecret_files = ["{tmp_path}/{secret}"]\nmapping = "shopify"\n'
    (tmp_path / "EVENTS.toml").write_text(mapping)

    with native.running("events") as events:
        native.wait("events", lambda: native.healthy("events"))
        unsigned = requests.post(f"http://127.0.0.1:{native.events_port}/shopify", timeout=PATIENCE_S)
        assert unsigned.status_code == 401
        events.terminate()
        assert events.wait(timeout=PATIENCE_S) == 0


def test_forward_profile_runs(native: Native, tmp_path: Path, redis_server: RedisServer) -> None:
    """It has its secret out of a file, sends what there is to the endpoint of .env, and stops when asked."""
    (secret,) = SERVICES["forward"]["secrets"]
    (tmp_path / secret).write_text(f"{SECRET}\n")
    publish(redis_server.client(), result("a"), output("a", "t"))

    with listening() as endpoint:
        native.replace("${FORWARD_TO:-}", endpoint.url)
        with native.running("forward") as forward:
            native.wait("forward", lambda: len(endpoint.taken) == 2)
            forward.terminate()
            assert forward.wait(timeout=PATIENCE_S) == 0
    assert [each.document["type"] for each in endpoint.taken] == ["job.submitted", "task.succeeded"]


def test_forward_asks_for_its_endpoint(native: Native, tmp_path: Path) -> None:
    """Without one in .env it ends and says so; the other services do not need it."""
    native.replace("${FORWARD_TO:-}", "")
    with native.running("forward") as forward:
        assert forward.wait(timeout=PATIENCE_S) == 2

    assert "give --to URL" in native.output("forward").read_text()


def test_ui_profile_runs(native: Native, tmp_path: Path) -> None:
    """It asks for the token of its file, is healthy without one, and stops when asked."""
    (secret,) = SERVICES["ui"]["secrets"]
    (tmp_path / secret).write_text("a-token-of-the-tests\n")

    with native.running("ui") as ui:
        native.wait("ui", lambda: native.healthy("ui"))
        url = f"http://127.0.0.1:{native.ui_port}/metrics"
        assert requests.get(url, timeout=PATIENCE_S).status_code == 401
        asked = {"Authorization": "Bearer a-token-of-the-tests"}
        assert "aigc_workers 0" in requests.get(url, headers=asked, timeout=PATIENCE_S).text
        ui.terminate()
        assert ui.wait(timeout=PATIENCE_S) == 0
    assert not native.healthy("ui")


def test_ui_does_not_start_without_its_token(native: Native, tmp_path: Path) -> None:
    """Inside the container it listens for others, so an empty secret is refused, and named."""
    (secret,) = SERVICES["ui"]["secrets"]
    (tmp_path / secret).write_text("\n")
    with native.running("ui") as ui:
        assert ui.wait(timeout=PATIENCE_S) != 0

    assert "AIGC_UI_TOKEN" in native.output("ui").read_text()


def test_grafana_is_given_what_its_provisioning_asks_for() -> None:
    """By structure: Grafana itself is no package of Debian's. Its dashboard lies where the provider looks."""
    configs = {each["source"]: each["target"] for each in SERVICES["grafana"]["configs"]}
    files = {name: ROOT / COMPOSE["configs"][name]["file"] for name in configs}
    (source,) = yaml.safe_load(files["grafana_datasource"].read_text())["datasources"]
    (provider,) = yaml.safe_load(files["grafana_dashboards"].read_text())["providers"]
    variables = json.loads(files["dashboard"].read_text())["templating"]["list"]

    for name, folder in (("grafana_datasource", "datasources"), ("grafana_dashboards", "dashboards")):
        assert yaml.safe_load(files[name].read_text())["apiVersion"] == 1
        assert Path(configs[name]).parent == Path("/etc/grafana/provisioning") / folder
    assert source["type"] == variables[0]["query"] == "prometheus"
    assert source["isDefault"], "the dashboard's variable has no other"
    assert source["url"] == "http://prometheus:9090"
    assert (provider["type"], configs["dashboard"]) == ("file", f"{provider['options']['path']}/aigc.json")


def test_worker_refuses_to_start_without_its_secrets(native: Native) -> None:
    """Without the secret files the worker ends, and names the variables."""
    with native.running("worker") as worker:
        assert worker.wait(timeout=PATIENCE_S) == 1

    said = native.output("worker").read_text()
    assert "AIGC_ACCESS_KEY_FILE" in said
    assert "AIGC_SECRET_KEY_FILE" in said
    assert "Traceback" not in said


def results(output: Path) -> list[dict[str, Any]]:
    """The results among the lines that a service printed so far."""
    lines = output.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
