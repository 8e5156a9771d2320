"""What is in monitoring/, read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "monitoring"
ALERTS = FOLDER / "alerts.yml"
ALERTS_TEST = FOLDER / "alerts_test.yml"
DASHBOARD = FOLDER / "dashboard.json"
PROMETHEUS = FOLDER / "prometheus.yml"


def alerts() -> dict[str, dict[str, Any]]:
    """The rules, by the alert's name."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return read


def dashboard_expressions() -> Iterator[str]:
    """Of all panels."""
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def metrics_in(expression: str) -> set[str]:
    """The names of ours in it."""
    return set(re.findall(r"\b(?:aigc|celery)_[a-z_]+\b", expression))
