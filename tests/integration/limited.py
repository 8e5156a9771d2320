"""One worker's view of who may post now, on a real Redis: it claims, settles, fails, is throttled."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from tasks.envelope import Job
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
WORKS, FAULT = Feedback(counted=True, vendor_works=True), Feedback(counted=True, vendor_works=False)
T2I, I2V = "TEXT2IMAGE", "IMAGE2VIDEO"


class LimitedWorker:
    """A worker with these limits, without its process."""

    def __init__(self, server: RedisServer, **limits: Any) -> None:
        self.scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=4)
        self.registry = WorkerRegistry(self.scripts, KEYS)
        self.registry.join()
        self.job_store = JobVerbs(self.scripts, KEYS, self.registry, SharedLimits(**limits))
        self.redis = self.scripts.client

    def claim(self, job_id: str, workflow: str = T2I) -> Claim:
        return self.job_store.claim(job(job_id), workflow, str(uuid.uuid4()))

    def settle(self, job_id: str, claim: Claim | None = None, feedback: Feedback = WORKS) -> None:
        """The vendor accepted the job."""
        claim = claim or self.claim(job_id)
        result = Result(
            job_id, "submitted", f"task-{job_id}", T2I, "1.0.0", 1, claim.request_id, None, None, False, ""
        )
        ending = Settlement(job(job_id), self._delivery(), claim, result, OutcomeKind.ACCEPTED, feedback)
        assert self.job_store.settle(ending) == "settled"

    def fail(
        self, job_id: str, claim: Claim | None = None, delay_s: float = 0.0, feedback: Feedback = FAULT
    ) -> Claim:
        """The vendor failed the job; it waits for its next attempt."""
        claim = claim or self.claim(job_id)
        assert claim.verdict in (ClaimVerdict.GO, ClaimVerdict.PROBE)
        attempts = claim.attempts + feedback.counted
        later = Reschedule(job(job_id), self._delivery(), claim, feedback, attempts, 0, False, delay_s)
        assert self.job_store.reschedule(later) == "rescheduled"
        return claim

    def throttled(self, wait_s: float) -> None:
        """The vendor asked for less when another job was sent."""
        other, says_nothing = job("throttled"), Feedback(counted=False, vendor_works=None)
        later = Reschedule(
            other, self._delivery(), None, says_nothing, 0, 1, False, 3600.0, throttled_s=wait_s
        )
        assert self.job_store.write([later]) == ([WriteReply("rescheduled")], [])

    def pull(self, job_id: str) -> None:
        """The job comes off the waiting set, as if it had been due."""
        self.redis.zrem(KEYS.delayed, job_id)

    def break_down(self) -> None:
        """Five jobs fail: the brake opens."""
        for number in range(5):
            self.fail(f"broken-{number}")
        assert self.redis.hget(KEYS.breaker, "open") == b"1"

    def let_probe(self) -> None:
        """The time of the next probe has come."""
        self.redis.hset(KEYS.breaker, "next", 0)

    def slot(self, job_id: str) -> float:
        """When the job may be sent, in milliseconds since the epoch."""
        return float(self.redis.hget(KEYS.job(job_id), "w"))

    def number(self, key: str, field: str) -> float:
        return float(self.redis.hget(key, field))

    def _delivery(self) -> Delivery:
        return Delivery(self.registry.owner, "", 1)


New = Callable[..., LimitedWorker]


def job(job_id: str) -> Job:
    return Job(job_id, CAT)
