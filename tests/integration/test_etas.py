"""Jobs for later: when they run, and from when their deadline counts, whichever way they came."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery

import tasks
from tasks.contract import DEFAULT_QUEUE, ENQUEUED_AT_HEADER, TASK_NAME
from tests.integration.stage import Stage, faulty, logged, working

DEADLINE_S = 2
LATER_S = 3.0


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working(JOB_DEADLINE_S=DEADLINE_S) as stage:
        tasks.configure(redis_url=stage.server.url)
        yield stage
        tasks.configure()


def _sent(stage: Stage, payload: dict[str, Any], **options: Any) -> str:
    app = Celery(broker=stage.server.url)
    return str(app.send_task(TASK_NAME, args=[payload], queue=DEFAULT_QUEUE, **options).id)


def _stamped(stage: Stage, payload: dict[str, Any]) -> str:
    stamp = {ENQUEUED_AT_HEADER: time.time_ns() // 1_000_000}
    return _sent(stage, payload, countdown=LATER_S, headers=stamp)


WAYS: dict[str, Callable[[Stage, dict[str, Any]], str]] = {
    "submit(countdown)": lambda _, payload: tasks.submit(payload, countdown=LATER_S),
    "submit(eta)": lambda _, payload: tasks.submit(
        payload, eta=datetime.now(UTC) + timedelta(seconds=LATER_S)
    ),
    "signature": lambda _, payload: str(tasks.signature(payload).apply_async(countdown=LATER_S).id),
    "send_task": lambda stage, payload: _sent(stage, payload, countdown=LATER_S),
    "send_task with a stamp": _stamped,
}


@dataclass(frozen=True)
class Later:
    """A job for later by each of the ways, and one that the vendor throttles; all at the same time."""

    payloads: dict[str, dict[str, Any]]
    jobs: dict[str, str]
    throttled: str


@pytest.fixture(scope="module")
def later(stage: Stage) -> Later:
    payloads = {name: faulty() for name in WAYS}
    jobs = {name: way(stage, payloads[name]) for name, way in WAYS.items()}
    return Later(payloads, jobs, tasks.submit(faulty("throttle"), countdown=LATER_S))


@pytest.mark.parametrize("way", WAYS)
def test_a_job_for_after_its_deadline_is_posted(stage: Stage, later: Later, way: str) -> None:
    """The deadline counts from the ETA, if that is later than the enqueueing."""
    assert stage.result(later.jobs[way])["status"] == "submitted"
    assert len(stage.vendor.posts_of(later.payloads[way])) == 1


def test_the_deadline_counts_from_the_eta(stage: Stage, later: Later) -> None:
    """It does not go away: a job that fails from then on ends as it would have."""
    result = stage.result(later.throttled)
    assert (result["status"], result["attempts"]) == ("exhausted", 0)


@pytest.mark.parametrize(
    "eta", ["9999-12-31T23:59:59+00:00", "9999-12-31T23:59:59.999999-14:00", "2128-01-01T00:00:00"]
)
def test_an_eta_beyond_all_deadlines_is_refused(stage: Stage, eta: str) -> None:
    """At once, with the reason, and not kept waiting for a day that nobody lives to see."""
    payload = faulty()
    job = stage.put_body(json.dumps([[payload], {"metadata": {"sku": "A-1"}}, {}]), headers={"eta": eta})
    result = stage.result(job)
    assert (result["status"], result["errorCode"]) == ("rejected", "AIGC_INVALID_PAYLOAD")
    assert result["errorMsg"].startswith("eta: must be at most 366 days ahead")
    assert (result["metadata"], stage.vendor.posts_of(payload)) == ({"sku": "A-1"}, [])
    stage.drain()


def test_an_eta_beyond_all_deadlines_is_refused_where_something_is_linked(stage: Stage) -> None:
    """Such a message goes through Celery, to the same end."""
    embed = {"callbacks": [{"task": "next", "args": [], "kwargs": {}, "options": {"queue": "elsewhere"}}]}
    body = json.dumps([[faulty()], {}, embed])
    assert stage.result(stage.put_body(body, headers={"eta": "9999-12-31T23:59:59"}))["status"] == "rejected"
    assert stage.redis.llen("elsewhere") == 0


def test_a_stamp_in_seconds_ends_no_job(stage: Stage) -> None:
    """It is taken for none, and said, once for many."""
    headers = {ENQUEUED_AT_HEADER: int(time.time()) - 10}
    jobs = [stage.put_body(json.dumps([[faulty()], {}, {}]), headers=headers) for _ in range(3)]
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    assert logged(stage.workers[0], "taken for none").count("taken for none") == 1
