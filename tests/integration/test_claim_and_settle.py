"""The journal's scripts on a real Redis, without a worker: who may post, decide and tell, and who may not."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tasks.contract import Status
from tasks.envelope import Job, encode
from tasks.result import Result
from tests.integration.job_verbs import JobVerbs
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.domain.outcome import OutcomeKind
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.values import (
    Claim,
    ClaimVerdict,
    Delivery,
    Feedback,
    Reschedule,
    Settlement,
    SharedLimits,
    WriteReply,
)
from worker.store.workers import WorkerRegistry

KEYS = KeyNames("aigc", "aigc:results")
EVIDENCE = Feedback(counted=True, vendor_works=True)
JOB = Job("a-job", CAT)


class Worker:
    """One worker's view of the journal."""

    def __init__(self, server: RedisServer) -> None:
        self.scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=4)
        self.redis: Any = self.scripts.client
        self.registry = WorkerRegistry(self.scripts, KEYS)
        self.registry.join()
        self.job_store = JobVerbs(self.scripts, KEYS, self.registry, SharedLimits())

    def hold(self) -> Delivery:
        """The job's message, as if it had been taken off the queue."""
        tag = f"1.{uuid.uuid4().int}"
        self.redis.hset(KEYS.unacked(self.registry.owner), tag, encode(JOB, KEYS.queue))
        return Delivery(self.registry.owner, tag, 1)

    def claim(self, request_id: str = "") -> Claim:
        return self.job_store.claim(JOB, "TEXT2IMAGE", request_id or str(uuid.uuid4()))

    def settle(self, delivery: Delivery, claim: Claim | None, status: Status = "submitted", task: str = "t-1",
               late: bool = False) -> str:  # fmt: skip
        result = Result(
            JOB.id, status, task if status == "submitted" else None, "TEXT2IMAGE", "1.0.0", 1,
            claim.request_id if claim else None, None, None, late, "2026-01-01T00:00:00.000Z",
        )  # fmt: skip
        ending = Settlement(JOB, delivery, claim, result, OutcomeKind.ACCEPTED, EVIDENCE)
        return self.job_store.settle(replace(ending, late=late))

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(fields[b"result"]) for _, fields in self.redis.xrange(KEYS.results)]

    def held(self) -> int:
        return int(self.redis.hlen(KEYS.unacked(self.registry.owner)))


@pytest.fixture
def one(redis_server: RedisServer) -> Iterator[Worker]:
    worker = Worker(redis_server)
    yield worker
    worker.redis.close()


@pytest.fixture
def two(redis_server: RedisServer) -> Iterator[Worker]:
    worker = Worker(redis_server)
    yield worker
    worker.redis.close()


def test_one_of_two_claims_wins(one: Worker, two: Worker) -> None:
    """While a living worker sends, the job is busy for every other claim, its own worker's too."""
    assert one.claim().verdict is ClaimVerdict.GO
    assert two.claim().verdict is ClaimVerdict.BUSY
    assert one.claim().verdict is ClaimVerdict.BUSY


def test_a_claim_whose_reply_was_lost_is_given_again(one: Worker) -> None:
    """The same claim again is the same claim: the request id is the token."""
    request_id = str(uuid.uuid4())
    assert [one.claim(request_id).verdict for _ in range(3)] == [ClaimVerdict.GO] * 3
    assert one.job_store.record(JOB.id)["request_ids"] == [request_id]


def test_settling_is_one_step_and_may_be_repeated(one: Worker) -> None:
    """Record, result and acknowledgement at once; the same call again changes nothing."""
    delivery, claim = one.hold(), one.claim()
    assert one.settle(delivery, claim) == "settled"
    assert (one.held(), one.redis.zcard(KEYS.sending), len(one.results())) == (0, 0, 1)
    assert one.settle(delivery, claim) == "settled"
    assert len(one.results()) == 1
    assert one.claim().verdict is ClaimVerdict.SETTLED


def test_a_fenced_worker_cannot_fail_a_job(one: Worker, two: Worker) -> None:
    """Who was declared dead may not decide that a job failed: another one has it now."""
    delivery, claim = one.hold(), one.claim()
    assert one.registry.leave() == 1
    assert two.claim().verdict is ClaimVerdict.ORPHAN
    assert one.settle(delivery, claim, "rejected") == "stale"
    later = Reschedule(JOB, delivery, claim, EVIDENCE, 1, 0, False, 0.0)
    assert one.job_store.write([later]) == ([WriteReply("stale")], [])
    assert two.results() == []
    assert one.claim().verdict is ClaimVerdict.FENCED or two.claim().verdict is ClaimVerdict.ORPHAN


def test_a_late_acceptance_is_told_once(one: Worker, two: Worker) -> None:
    """A fenced worker's task id is still published, after the unknown that was told meanwhile."""
    delivery, claim = one.hold(), one.claim()
    one.registry.leave()
    assert two.claim().verdict is ClaimVerdict.ORPHAN
    assert two.settle(two.hold(), None, "unknown") == "settled"
    assert one.settle(delivery, claim) == "late"
    assert one.settle(delivery, claim, late=True) == "settled"
    assert one.settle(delivery, claim, late=True) == "settled"
    assert [result["status"] for result in two.results()] == ["unknown", "submitted"]
    assert two.redis.zcard(KEYS.dead_letters("unknown")) == 0


def test_two_acceptances_are_never_two_results(one: Worker, two: Worker) -> None:
    """A job bought twice keeps its first task id; the second is counted, not published."""
    delivery, claim = one.hold(), one.claim()
    one.registry.leave()
    two.claim()
    two.job_store.write([Reschedule(JOB, two.hold(), None, EVIDENCE, 1, 0, True, 0.0)])
    two.redis.zrem(KEYS.delayed, JOB.id)
    again = two.claim()
    assert (again.verdict, again.unresolved) == (ClaimVerdict.GO, True)
    assert one.settle(delivery, claim, task="first", late=True) == "settled"
    assert two.settle(two.hold(), again, task="second") == "paid-twice"
    assert [result["taskId"] for result in two.results()] == ["first"]
    assert two.redis.hget(KEYS.counters, "paid_twice") == b"1"


def test_a_second_purchase_is_counted_once_however_often_it_is_told(one: Worker, two: Worker) -> None:
    """Each task id counts, and none of them again when the call is repeated after a lost reply."""
    claim = one.claim()
    assert one.settle(one.hold(), claim, task="first") == "settled"
    for task in ("second", "second", "third", "second", "third", "first"):
        two.settle(two.hold(), claim, task=task)
    assert two.redis.hget(KEYS.counters, "paid_twice") == b"2"
    assert (two.redis.hget(KEYS.job(JOB.id), "k"), two.held()) == (b"first", 0)


def test_an_orphan_stays_one_until_somebody_decides(one: Worker, two: Worker) -> None:
    """Should the finder of an orphan die too, the next one finds it again, its attempt counted once."""
    one.claim()
    one.registry.leave()
    found = [two.claim() for _ in range(3)]
    assert [(claim.verdict, claim.attempts) for claim in found] == [(ClaimVerdict.ORPHAN, 1)] * 3


def test_a_withdrawn_claim_leaves_no_trace(one: Worker) -> None:
    """Of a claim that surely sent nothing, neither request id nor attempt remains."""
    claim = one.claim()
    one.job_store.withdraw(JOB, claim)
    assert one.job_store.record(JOB.id)["request_ids"] == []
    assert one.claim().verdict is ClaimVerdict.GO


def test_a_look_at_a_job_that_has_just_ended_is_dropped(one: Worker) -> None:
    """A second delivery that was told `busy` and then overtaken by the result does not wait for nothing."""
    first, second = one.hold(), one.hold()
    claim = one.claim()
    assert one.claim().verdict is ClaimVerdict.BUSY
    one.settle(first, claim)
    one.job_store.look_again(JOB, second, 30.0)
    assert (one.held(), one.redis.zcard(KEYS.delayed)) == (0, 0)


def test_a_bad_message_does_not_end_the_job_that_waits_under_its_id(one: Worker) -> None:
    """An attempt of that one may have been accepted: it goes on, and the bad message alone goes."""
    waits = Reschedule(JOB, one.hold(), one.claim(), EVIDENCE, 1, 0, True, 60.0)
    assert one.job_store.reschedule(waits) == "rescheduled"
    assert one.settle(one.hold(), None, "rejected") == "already"
    assert (one.held(), one.results(), one.redis.zcard(KEYS.delayed)) == (0, [], 1)
    assert one.job_store.record(JOB.id)["state"] == "waiting"
    one.redis.zrem(KEYS.delayed, JOB.id)
    assert one.settle(one.hold(), None, "rejected") == "in-doubt", "it is the only message: it is held"
