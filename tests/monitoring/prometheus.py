"""A real Prometheus with the rules that ship, and beside them the same ones with shorter durations."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import requests
import yaml

from tests.conditions import PATIENCE_S, until
from tests.monitoring.files import ALERTS, PROMETHEUS
from tests.monitoring.shortened import shortened
from tests.ports import free_port
from worker.services.ui.looks import Look

_LOOK_S: Final = 0.3


class Prometheus:
    """What a running one says. Thread-safe: those who wait at the same time share a look."""

    def __init__(self, url: str, short: Path) -> None:
        self._url = url
        self._short = short
        self._groups = Look(self._look, kept_s=_LOOK_S)

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self._url}/-/ready", timeout=PATIENCE_S).ok
        except requests.ConnectionError:
            return False

    def has_looked_at(self, job: str) -> None:
        """Wait until it has scraped the job, and evaluated every rule after that."""
        counted = f'min(count_over_time(aigc_workers{{job="{job}"}}[1m])) > 1'
        until(lambda: self._get("query", query=counted)["result"], f"scrapes of {job}")
        since = time.time()
        until(
            lambda: all(_seconds(each["lastEvaluation"]) > since for each in self._groups.get()),
            "all rules to be evaluated",
        )

    def firing(self, job: str, *, short: bool) -> set[str]:
        """The alerts that fire of this job, by the short rules or by those that ship."""
        return {alert for alert, state in self._alerts(job, short=short) if state == "firing"}

    def active(self, job: str) -> set[str]:
        """The alerts that fire of this job, or would if it went on, by any of the rules."""
        return {alert for short in (True, False) for alert, _ in self._alerts(job, short=short)}

    def _alerts(self, job: str, *, short: bool) -> Iterator[tuple[str, str]]:
        for group in self._groups.get():
            if (group["file"] == str(self._short)) is short:
                for rule in group["rules"]:
                    for alert in rule["alerts"]:
                        if alert["labels"].get("job") == job:
                            yield rule["name"], alert["state"]

    def _look(self) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = self._get("rules", type="alert")["groups"]
        return groups

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        answer = requests.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=PATIENCE_S)
        data: dict[str, Any] = json.loads(answer.text)["data"]
        return data


@contextmanager
def running(folder: Path, targets: Mapping[str, str], as_shipped: str) -> Iterator[Prometheus]:
    """One that scrapes these, a job each, every 2 s, but one of them as often as it ships.

    Args:
        targets: URLs of `aigc ui`, by job.
        as_shipped: the job that is scraped as monitoring/prometheus.yml has it.
    """
    short, config = folder / "short.yml", folder / "prometheus.yml"
    short.write_text(yaml.safe_dump(shortened(yaml.safe_load(ALERTS.read_text()))))
    config.write_text(yaml.safe_dump(_config(targets, as_shipped, [str(ALERTS), str(short)])))
    port = free_port()
    command = [
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        prometheus = Prometheus(f"http://127.0.0.1:{port}", short)
        until(prometheus.is_ready, "Prometheus")
        yield prometheus
    finally:
        process.kill()
        process.wait()


def _config(targets: Mapping[str, str], as_shipped: str, rules: list[str]) -> dict[str, Any]:
    ships = yaml.safe_load(PROMETHEUS.read_text())["global"]
    scrapes: list[dict[str, Any]] = [
        {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
        | ({} if job == as_shipped else {"scrape_interval": "2s"})
        for job, url in targets.items()
    ]
    return {"global": ships, "rule_files": rules, "scrape_configs": scrapes}


def _seconds(told: str) -> float:
    return datetime.fromisoformat(told).timestamp()
