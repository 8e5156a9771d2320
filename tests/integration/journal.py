"""One worker's view of the journal on a real Redis, without the worker: claims, endings, and who lives."""

from __future__ import annotations

import uuid
from typing import Any

from tasks.contract import Status
from tasks.envelope import Job, encode
from tasks.result import Result
from tests.integration.job_verbs import JobVerbs
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.domain.outcome import OutcomeKind
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.values import Claim, Delivery, Feedback, Settlement, SharedLimits
from worker.store.workers import WorkerRegistry

KEYS = KeyNames("aigc", "aigc:results")
JOB = Job("a-job", CAT)
FAILED = Feedback(counted=True, vendor_works=False)
OF_AN_ORPHAN = Feedback(counted=False, vendor_works=None, orphan=True)


class JournalWorker:
    """A worker as the journal knows one."""

    def __init__(self, server: RedisServer) -> None:
        self.scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=4)
        self.redis: Any = self.scripts.client
        self.registry = WorkerRegistry(self.scripts, KEYS)
        self.registry.join()
        self.job_store = JobVerbs(self.scripts, KEYS, self.registry, SharedLimits(breaker_after=0))

    def hold(self) -> Delivery:
        """It holds a message of the job."""
        tag = f"1.{uuid.uuid4().int}"
        self.redis.hset(KEYS.unacked(self.registry.owner), tag, encode(JOB, KEYS.queue))
        return Delivery(self.registry.owner, tag, 1)

    def claim(self, job: Job = JOB) -> Claim:
        return self.job_store.claim(job, "TEXT2IMAGE", str(uuid.uuid4()))

    def settle(self, delivery: Delivery, claim: Claim | None, status: Status, task: str | None = None) -> str:
        """The job has ended, or without a claim an orphan of it is decided; the journal's verdict."""
        request_id = claim.request_id if claim else None
        result = Result(JOB.id, status, task, "TEXT2IMAGE", "1.0.0", 1, request_id, None, None, False, "")
        feedback = FAILED if claim else OF_AN_ORPHAN
        return self.job_store.settle(Settlement(JOB, delivery, claim, result, OutcomeKind.UNKNOWN, feedback))
