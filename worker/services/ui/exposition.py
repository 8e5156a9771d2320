"""A snapshot in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from worker.services.ui.families import families
from worker.store.metrics import Snapshot

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class _Families(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        return families(self._snapshot)

    def describe(self) -> list[Metric]:
        return []


def exposition(snapshot: Snapshot) -> bytes:
    """The text that a scrape is answered with; a pure function."""
    registry = CollectorRegistry()
    registry.register(_Families(snapshot))
    return generate_latest(registry)
