"""The Prometheus of docker-compose.yml, run as there, by Debian's: it scrapes, and knows the alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from tests.conditions import PATIENCE_S
from tests.integration.compose import COMPOSE, SERVICES, Native
from tests.integration.native import ROOT
from tests.ports import free_port
from tests.redis_server import RedisServer


def test_monitoring_profile_runs(redis_server: RedisServer, tmp_path: Path) -> None:
    """With the flags, files and token of the profile it is healthy, scrapes `aigc ui`, and an alert fires."""
    native, port = Native(redis_server.url, tmp_path), free_port()
    for there, here in {
        "/etc/prometheus/": f"{tmp_path}/",
        "path=/prometheus": f"path={tmp_path}/data",
        "127.0.0.1:9090": f"127.0.0.1:{port}",
    }.items():
        native.replace(there, here)
    (tmp_path / "ui_token").write_text("a-token-of-the-tests\n")
    for config in SERVICES["prometheus"]["configs"]:
        text = (ROOT / COMPOSE["configs"][config["source"]]["file"]).read_text()
        text = text.replace("ui:8090", f"127.0.0.1:{native.ui_port}")
        text = text.replace("/run/secrets/", f"{tmp_path}/").replace("/etc/prometheus/", f"{tmp_path}/")
        (tmp_path / Path(config["target"]).name).write_text(text.replace("_interval: 5s", "_interval: 1s"))

    def asked(path: str) -> Any:
        return requests.get(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=PATIENCE_S).json()["data"]

    def scraped() -> bool:
        targets = asked("targets?state=active")["activeTargets"]
        return [target["health"] for target in targets] == ["up"]

    def firing() -> set[str]:
        alerts = asked("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    listening = f"--web.listen-address=127.0.0.1:{port}"
    with native.running("ui"), native.running("prometheus", program="prometheus", more=[listening]):
        native.wait("prometheus", lambda: native.healthy("prometheus"))
        native.wait("prometheus", scraped)
        native.wait("prometheus", lambda: "AigcNothingConsumes" in firing())
    assert not native.healthy("prometheus")
