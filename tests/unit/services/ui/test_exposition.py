"""Metrics in Prometheus' text format, read back by Prometheus' own parser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.services.ui.snapshots import snapshot
from worker.services.ui.exposition import exposition
from worker.store.metric_fields import ATTEMPT_BOUNDS_S, Counted
from worker.store.metrics import Snapshot

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(found: Snapshot) -> Samples:
    families = text_string_to_metric_families(exposition(found).decode())
    samples = [sample for family in families for sample in family.samples]
    read = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(read) == len(samples)
    return read


def one(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


NUMBERS: list[tuple[str, dict[str, str], float]] = [
    ("aigc_jobs_total", {"workflow": "TEXT2IMAGE", "status": "submitted"}, 3),
    ("aigc_jobs_total", {"workflow": "others", "status": "rejected"}, 2),
    ("aigc_jobs_total", {"workflow": 'a "name"', "status": "cancelled"}, 1),
    ("aigc_attempts_total", {"workflow": "TEXT2IMAGE", "outcome": "accepted"}, 3),
    ("aigc_attempts_total", {"workflow": "TEXT2IMAGE", "outcome": "unknown"}, 1),
    ("aigc_spent_total", {"workflow": "TEXT2IMAGE"}, 0.15),
    ("aigc_possible_duplicates_total", {}, 13),
    ("aigc_paid_twice_total", {}, 14),
    ("aigc_queue_jobs", {"priority": "high"}, 20),
    ("aigc_queue_jobs", {"priority": "low"}, 22),
    ("celery_queue_length", {"queue_name": "aigc"}, 21),
    ("celery_queue_length", {"queue_name": "aigc.high"}, 20),
    ("aigc_delayed_jobs", {}, 4),
    ("aigc_backlog_jobs", {}, 7),
    ("aigc_inflight_jobs", {}, 5),
    ("aigc_taken_messages", {}, 6),
    ("aigc_held_jobs", {}, 8),
    ("aigc_dead_letters", {"status": "unknown"}, 8),
    ("aigc_dead_letters", {"status": "exhausted"}, 9),
    ("aigc_dead_letters", {"status": "rejected"}, 10),
    ("aigc_malformed_messages", {}, 11),
    ("aigc_oldest_job_age_seconds", {}, 12.5),
    ("aigc_pauses", {}, 1),
    ("aigc_workers", {}, 2),
    ("celery_worker_up", {}, 2),
    ("aigc_refused_workers", {}, 1),
    ("aigc_dead_workers", {}, 1),
    ("aigc_breaker_open", {}, 1),
    ("aigc_warnings", {}, 2),
    ("aigc_outputs_total", {"status": "lost"}, 17),
    ("aigc_open_tasks", {}, 18),
    ("aigc_unstored_files", {}, 19),
    ("aigc_redis_memory_used_bytes", {}, 1000),
    ("aigc_redis_memory_max_bytes", {}, 2000),
]


@pytest.mark.parametrize(("name", "labels", "number"), NUMBERS)
def test_each_number_is_told_under_its_name(name: str, labels: dict[str, str], number: float) -> None:
    """All names of the contract, those of Celery's exporters, and what alerts need beside them."""
    assert one(samples_of(snapshot()), name, **labels) == number


def test_a_histogram_is_cumulative_with_sum_and_count() -> None:
    """Every bound is there, the infinite one last; an attempt whose time is not known is in none."""
    samples = samples_of(snapshot())
    name, workflow = "aigc_attempt_duration_seconds", "TEXT2IMAGE"
    bounds = [*(f"{bound:g}" for bound in ATTEMPT_BOUNDS_S), "+Inf"]
    told = [one(samples, f"{name}_bucket", workflow=workflow, le=bound) for bound in bounds]
    assert told == [0, 0, *[3] * (len(bounds) - 2)]
    assert one(samples, f"{name}_sum", workflow=workflow) == 0.6
    assert one(samples, f"{name}_count", workflow=workflow) == 3
    assert one(samples, "aigc_job_duration_seconds_count", workflow=workflow) == 3


def test_counters_begin_at_none() -> None:
    """Of the vendor's own workflows and of those that were seen: the first event is an increase, too."""
    samples = samples_of(replace(snapshot(), counted=Counted()))
    for workflow in ("TEXT2IMAGE", "IMAGE2VIDEO", "CATVTON"):
        assert one(samples, "aigc_jobs_total", workflow=workflow, status="submitted") == 0
        assert one(samples, "aigc_attempts_total", workflow=workflow, outcome="not_sent") == 0
    seen = samples_of(snapshot())
    assert one(seen, "aigc_jobs_total", workflow='a "name"', status="submitted") == 0


def with_nothing_queued(found: Snapshot, **changes: Any) -> Snapshot:
    jobs = {**found.found["jobs"], "waiting": 0, "sidings": {}}
    return replace(found, queued={}, found={**found.found, "jobs": jobs, **changes})


def test_an_age_that_is_not_known_is_not_told() -> None:
    """No producer need say when it queued a job; where nothing waits the age is none."""
    name = "aigc_oldest_job_age_seconds"
    assert one(samples_of(snapshot(oldest_job_s=None)), name) is None
    assert one(samples_of(with_nothing_queued(snapshot(), oldest_job_s=None)), name) == 0


def test_a_redis_without_a_bound_has_no_maximum() -> None:
    """Zero would read as full."""
    assert one(samples_of(snapshot(memory_max=0)), "aigc_redis_memory_max_bytes") is None
