"""All metrics with their names and help: a pure function of a snapshot.

Names and units are by Prometheus' conventions; celery_… are those that dashboards for Celery know.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from tasks.contract import Status
from tasks.payload import LISTED_NAMES
from worker.domain.outcome import OutcomeKind
from worker.store.metric_fields import ATTEMPT_BOUNDS_S, JOB_BOUNDS_S, Counted, Histogram
from worker.store.metrics import Snapshot

STATUSES: Final[tuple[str, ...]] = get_args(Status)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Every metric, those without a sample among them."""
    yield from _of_jobs(snapshot)
    yield from _of_queue(snapshot)
    yield from _of_workers(snapshot)
    yield from _of_outputs(snapshot)
    yield from _of_redis(snapshot)


def _of_jobs(snapshot: Snapshot) -> Iterator[Metric]:
    counted, money = snapshot.counted, snapshot.found["money"]
    jobs = "Jobs that ended. One that was held as unknown and is decided later ends again."
    yield _counter("aigc_jobs", jobs, ("workflow", "status"), _from_none(counted, STATUSES) | counted.jobs)
    attempts = "Signed POSTs of jobs, by what each turned out to be."
    made = _from_none(counted, OutcomeKind) | counted.attempts
    yield _counter("aigc_attempts", attempts, ("workflow", "outcome"), made)
    took = "From an attempt's POST to its answer, or to giving up waiting for one."
    yield _histogram("aigc_attempt_duration_seconds", took, ATTEMPT_BOUNDS_S, counted.attempt_s)
    whole = "From a job's queueing, the last time, to its end; deciding about a held one adds none."
    yield _histogram("aigc_job_duration_seconds", whole, JOB_BOUNDS_S, counted.job_s)
    spent = "What accepted jobs cost, at the prices (AIGC_PRICE__...) that workers had then."
    yield _counter("aigc_spent", spent, ("workflow",), {(name,): sum for name, sum in counted.spent.items()})
    doubt = "Jobs that ended of which an earlier attempt may have been accepted as well."
    yield _counter("aigc_possible_duplicates", doubt, (), {(): money["possible_duplicates"]})
    twice = "Attempts that were accepted although another one of the same job was."
    yield _counter("aigc_paid_twice", twice, (), {(): money["paid_twice"]})


def _from_none(counted: Counted, labels: Iterable[str]) -> dict[tuple[str, str], int]:
    """Nothing yet, of each: a series that began with its first event would have no increase by that."""
    return {(workflow, label): 0 for workflow in {*LISTED_NAMES, *counted.workflows} for label in labels}


def _of_queue(snapshot: Snapshot) -> Iterator[Metric]:
    jobs, oldest_s = snapshot.found["jobs"], snapshot.found["oldest_job_s"]
    queued = "Jobs in the queue; 3, 6 and 9 are Celery's numbered priorities up to there."
    yield _gauge("aigc_queue_jobs", queued, ("priority",), snapshot.queued)
    lengths = "Jobs in the queue, by Celery's name of it."
    yield _gauge("celery_queue_length", lengths, ("queue_name",), snapshot.queue_lengths)
    yield _one("aigc_delayed_jobs", "Jobs that wait for their next attempt or their ETA.", jobs["waiting"])
    backlogs = sum(jobs["sidings"].values())
    yield _one("aigc_backlog_jobs", "Jobs that wait for their workflow's own limit or pause.", backlogs)
    in_hand = "Messages that workers have taken and not settled, each of one job or many."
    yield _one("aigc_taken_messages", in_hand, jobs["in_hand_messages"])
    yield _one("aigc_inflight_jobs", "Jobs that are being sent to the vendor.", jobs["sending"])
    held = "Jobs of which nobody knows whether the vendor accepted them: an operator has to decide."
    yield _one("aigc_held_jobs", held, jobs["unknown"])
    letters = {status: jobs[status] for status in ("unknown", "exhausted", "rejected")}
    yield _gauge("aigc_dead_letters", "Jobs that did not end well, and are kept.", ("status",), letters)
    malformed = "Messages that no worker could read, and that were put aside."
    yield _one("aigc_malformed_messages", malformed, jobs["malformed_messages"])
    waits = any(snapshot.queued.values()) or jobs["waiting"] or backlogs
    age = oldest_s if oldest_s is not None else None if waits else 0
    oldest = "Age of the oldest of the jobs that go on next; absent where jobs wait that say no time."
    yield _one("aigc_oldest_job_age_seconds", oldest, age)
    paused = "Pauses by an operator, of everything or of a workflow."
    yield _one("aigc_pauses", paused, len(snapshot.found["paused"]))


def _of_workers(snapshot: Snapshot) -> Iterator[Metric]:
    found = snapshot.found
    consuming = sum(worker["consumes"] for worker in found["workers"])
    up = "Workers that are alive, look at the queue, and are not refused by the vendor."
    yield _one("aigc_workers", up, consuming)
    yield _one("celery_worker_up", f"{up} Of all together.", consuming)
    refused = "Living workers whose keys, endpoint or clock the vendor refuses."
    yield _one("aigc_refused_workers", refused, sum(worker["refused"] for worker in found["workers"]))
    dead = "Workers that died, and whose messages no other has taken over yet."
    yield _one("aigc_dead_workers", dead, len(found["dead_workers"]))
    yield _one("aigc_breaker_open", "1 while the vendor counts as down.", int(found["brake"]["open"]))
    warnings = "What `aigc status` warns of."
    yield _one("aigc_warnings", warnings, len(found["warnings"]))


def _of_outputs(snapshot: Snapshot) -> Iterator[Metric]:
    following = snapshot.found["following"]
    ended = {(status,): following[status] for status in ("succeeded", "failed", "lost")}
    yield _counter("aigc_outputs", "Tasks of the vendor's that ended.", ("status",), ended)
    yield _one("aigc_open_tasks", "Tasks that are followed and have not ended.", following["open"])
    unstored = "Finished files that could not be kept."
    yield _one("aigc_unstored_files", unstored, following["unstored"])


def _of_redis(snapshot: Snapshot) -> Iterator[Metric]:
    used = "Memory that Redis uses."
    yield _one("aigc_redis_memory_used_bytes", used, snapshot.memory_used)
    most = "At how much memory Redis refuses jobs; absent where it has no bound."
    yield _one("aigc_redis_memory_max_bytes", most, snapshot.memory_max or None)


def _counter(name: str, about: str, labels: tuple[str, ...], samples: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for values, number in sorted(samples.items()):
        family.add_metric(values, number)
    return family


def _gauge(name: str, about: str, labels: tuple[str, ...], samples: Mapping[str, Any]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for value, number in samples.items():
        family.add_metric((value,), number)
    return family


def _one(name: str, about: str, number: float | None) -> Metric:
    family = GaugeMetricFamily(name, about)
    if number is not None:
        family.add_metric((), number)
    return family


def _histogram(
    name: str, about: str, bounds: tuple[float, ...], histograms: Mapping[str, Histogram]
) -> Metric:
    family = HistogramMetricFamily(name, about, labels=("workflow",))
    for workflow, histogram in sorted(histograms.items()):
        buckets = [
            ("+Inf" if bound == math.inf else f"{bound:g}", total)
            for bound, total in histogram.cumulative(bounds)
        ]
        family.add_metric((workflow,), buckets, histogram.sum_s)
    return family
