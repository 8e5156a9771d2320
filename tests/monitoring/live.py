"""Alerts in a real Prometheus that scrapes a real `aigc ui`, while the only worker is killed."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.integration.stage import PATIENCE_S, faulty, staged, until
from tests.integration.ui_service import UiService
from tests.monitoring.files import ALERTS
from tests.ports import free_port
from tests.redis_server import RedisServer

WITHIN_S = 30.0
"""What is promised: from the kill of the only worker to the alert."""


def check_live() -> int:
    """0 where the alerts fire that must, in time, and no other of those that fire at once."""
    with tempfile.TemporaryDirectory(prefix="aigc-alerts-") as name, RedisServer() as server:
        folder = Path(name)
        with staged(server) as stage, UiService(server.url, folder) as ui, prometheus(ui, folder) as firing:
            worker = stage.worker()
            until(lambda: ui.metrics().sum("aigc_workers") == 1, "the worker")
            until(lambda: "AigcNothingConsumes" not in firing(), "no alert while it consumes")
            stage.enqueue(faulty("reset_after_accept"))
            until(lambda: "AigcJobsHeld" in firing(), "the alert of a held job")
            assert "AigcNothingConsumes" not in firing()
            worker.kill()
            began = time.monotonic()
            until(lambda: "AigcNothingConsumes" in firing(), "the alert of a killed worker")
            took_s = time.monotonic() - began
    print(f"a real Prometheus: {took_s:.1f} s from the kill of the only worker to AigcNothingConsumes")
    return int(took_s > WITHIN_S)


@contextmanager
def prometheus(ui: UiService, folder: Path) -> Iterator[Any]:
    """One that scrapes it as often as docs/how-to/metrics.md has it, with the rules that ship.

    Gives a function that says what fires.
    """
    port = free_port()
    config = {
        "global": {"scrape_interval": "5s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "aigc", "static_configs": [{"targets": [ui.url[len("http://") :]]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"

    def firing() -> set[str]:
        alerts = json.loads(requests.get(f"{url}/api/v1/alerts", timeout=PATIENCE_S).text)["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    try:
        until(lambda: is_ready(url), "Prometheus")
        yield firing
    finally:
        process.kill()
        process.wait()


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=PATIENCE_S).ok
    except requests.ConnectionError:
        return False
