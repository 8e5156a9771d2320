"""What settling and rescheduling count for the metrics, on a real Redis: each attempt and each end once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tasks.contract import Status
from tasks.envelope import Job
from tasks.prices import Prices
from tasks.result import Result
from tests.integration.job_verbs import JobVerbs
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.domain.outcome import OutcomeKind
from worker.store.dead_letters import DeadLetters
from worker.store.keys import KeyNames
from worker.store.metric_fields import ATTEMPT_BOUNDS_S, JOB_BOUNDS_S, OTHERS, Counted, counted
from worker.store.scripts import Scripts
from worker.store.values import Claim, Delivery, Feedback, Reschedule, Settlement, SharedLimits
from worker.store.workers import WorkerRegistry

KEYS = KeyNames("aigc", "aigc:results")
ATTEMPTED = Feedback(counted=True, vendor_works=True)
T2I = "TEXT2IMAGE"
LIMITS = SharedLimits(breaker_after=0, prices=((T2I, 50_000),))


class Worker:
    """One that claims and settles, without its process."""

    def __init__(self, server: RedisServer) -> None:
        self.scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=4)
        self.redis: Any = self.scripts.client
        self.registry = WorkerRegistry(self.scripts, KEYS)
        self.registry.join()
        self.jobs = JobVerbs(self.scripts, KEYS, self.registry, LIMITS)

    def claim(self, job: Job, workflow: str = T2I) -> Claim:
        return self.jobs.claim(job, workflow, str(uuid.uuid4()))

    def settlement(
        self, job: Job, claim: Claim | None, kind: OutcomeKind, status: Status, workflow: str = T2I
    ) -> Settlement:
        task = f"task-of-{job.id}" if status == "submitted" else None
        told = (claim.request_id if claim else None, None, None, False, "2026-01-01T00:00:00.000Z")
        result = Result(job.id, status, task, workflow, "1.0.0", 1, *told)
        delivery = Delivery(self.registry.owner, "", 1)
        return Settlement(job, delivery, claim, result, kind, ATTEMPTED, took_s=0.2 if claim else None)

    def counted(self) -> Counted:
        return counted(self.redis.hgetall(KEYS.metrics))

    def close(self) -> None:
        self.scripts.close()


@pytest.fixture
def worker(redis_server: RedisServer) -> Iterator[Worker]:
    with closing(Worker(redis_server)) as worker:
        yield worker


def job_of(job_id: str, ago_s: float = 1.5) -> Job:
    return Job(job_id, CAT, enqueued_ms=round(1000 * (time.time() - ago_s)))


def test_a_job_that_waits_and_then_ends_counts_each_attempt_and_its_end(worker: Worker) -> None:
    """Its whole time is from its queueing to its end, an attempt's that which the vendor took; repeated
    calls, whose replies were lost, count nothing."""
    job = job_of("a-job", ago_s=3.0)
    delivery, claim = Delivery(worker.registry.owner, "", 1), worker.claim(job)
    later = Reschedule(
        job, delivery, claim, ATTEMPTED, 1, 0, False, 0.0, took_s=12.0, kind=OutcomeKind.VENDOR_FAULT
    )
    assert [worker.jobs.reschedule(later) for _ in range(2)] == ["rescheduled", "stale"]
    worker.redis.delete(KEYS.delayed, KEYS.delayed_messages)
    end = worker.settlement(job, worker.claim(job), OutcomeKind.ACCEPTED, "submitted")
    assert [worker.jobs.settle(end) for _ in range(3)] == ["settled"] * 3
    found = worker.counted()
    assert found.attempts == {(T2I, "vendor_fault"): 1, (T2I, "accepted"): 1}
    assert found.jobs == {(T2I, "submitted"): 1}
    assert found.attempt_s[T2I].sum_s == 12.2
    attempts = dict(found.attempt_s[T2I].cumulative(ATTEMPT_BOUNDS_S))
    assert (attempts[0.1], attempts[0.25], attempts[10.0], attempts[20.0]) == (0, 1, 1, 2)
    whole = dict(found.job_s[T2I].cumulative(JOB_BOUNDS_S))
    assert (whole[2.5], whole[86_400.0]) == (0, 1)
    assert found.job_s[T2I].sum_s >= 3.0
    assert found.spent == {T2I: 0.05}


def test_a_job_refused_before_an_attempt_counts_none(worker: Worker) -> None:
    """Its end is counted, under no workflow of its own where the payload names none."""
    bad = worker.settlement(job_of("bad"), None, OutcomeKind.REJECTED, "rejected", workflow="")
    assert worker.jobs.settle(bad) == "settled"
    found = worker.counted()
    assert (found.attempts, found.jobs, found.spent) == ({}, {(OTHERS, "rejected"): 1}, {})


def test_a_late_acceptance_is_counted_beside_the_unknown(worker: Worker, redis_server: RedisServer) -> None:
    """A counter takes nothing back: the job ended twice, its time is that to its first end."""
    job = job_of("a-job")
    claim = worker.claim(job)
    worker.registry.leave()
    with closing(Worker(redis_server)) as other:
        other.claim(job)
        orphan = replace(
            other.settlement(job, None, OutcomeKind.UNKNOWN, "unknown"),
            feedback=Feedback(counted=False, vendor_works=None, orphan=True),
        )
        assert other.jobs.settle(orphan) == "settled"
    end = worker.settlement(job, claim, OutcomeKind.ACCEPTED, "submitted")
    assert worker.jobs.settle(end) == "late"
    assert worker.counted().attempts == {(T2I, "unknown"): 1}
    late = replace(end, late=True)
    assert [worker.jobs.settle(late) for _ in range(2)] == ["settled", "settled"]
    found = worker.counted()
    assert found.attempts == {(T2I, "unknown"): 1, (T2I, "accepted"): 1}
    assert found.jobs == {(T2I, "unknown"): 1, (T2I, "submitted"): 1}
    assert sum(found.job_s[T2I].counts) == 1
    assert found.spent == {T2I: 0.05}


def test_what_was_paid_twice_was_spent_twice(worker: Worker) -> None:
    """The job has one end, and two attempts that were accepted."""
    job = job_of("a-job")
    end = worker.settlement(job, worker.claim(job), OutcomeKind.ACCEPTED, "submitted")
    second = replace(end, result=replace(end.result, task_id="another-task"))
    told = [worker.jobs.settle(each) for each in (end, second, second)]
    assert told == ["settled", "paid-twice", "paid-twice"]
    found = worker.counted()
    assert found.attempts == {(T2I, "accepted"): 2}
    assert (found.jobs, found.spent) == ({(T2I, "submitted"): 1}, {T2I: 0.1})


def test_what_an_operator_accepts_was_spent(worker: Worker) -> None:
    """At the price that the operator's environment has; no attempt was made for it."""
    job = job_of("a-job")
    held = worker.settlement(job, worker.claim(job), OutcomeKind.UNKNOWN, "unknown")
    assert worker.jobs.settle(held) == "settled"
    desk = DeadLetters(worker.scripts, KEYS, prices=Prices({T2I: Decimal("0.04")}))
    assert desk.accept(held.result, "task-1", "somebody")
    found = worker.counted()
    assert found.jobs == {(T2I, "unknown"): 1, (T2I, "submitted"): 1}
    assert found.attempts == {(T2I, "unknown"): 1}
    assert found.spent == {T2I: 0.04}


def test_workflows_are_counted_apart_up_to_a_bound(worker: Worker) -> None:
    """Unlisted names are anybody's: after the first fifty all are others, and a known one stays known."""
    names = [f"W{number}" for number in range(60)]
    for number, name in enumerate([*names, "W0", "with\nline", "x" * 101]):
        end = worker.settlement(job_of(f"job-{number}"), None, OutcomeKind.REJECTED, "rejected", name)
        assert worker.jobs.settle(end) == "settled"
    jobs = worker.counted().jobs
    assert len(jobs) == 51
    assert (jobs["W0", "rejected"], jobs["W49", "rejected"], jobs[OTHERS, "rejected"]) == (2, 1, 12)
