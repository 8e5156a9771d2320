"""The store of jobs by single verbs, as tests speak: each one call, answered at once."""

from __future__ import annotations

from typing import Any

from tasks.envelope import Job
from worker.store.jobs import ClaimRequest, JobStore
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.values import (
    Claim,
    Delivery,
    Postponement,
    Reschedule,
    Settlement,
    SharedLimits,
    ToBacklog,
    Withdrawal,
)
from worker.store.workers import WorkerRegistry


class JobVerbs:
    """One process's view of the jobs; ``store`` is the real thing."""

    def __init__(
        self, scripts: Scripts, keys: KeyNames, registry: WorkerRegistry, limits: SharedLimits
    ) -> None:
        self.store = JobStore(scripts, keys, registry, limits)

    def claim(self, job: Job, workflow: str, request_id: str) -> Claim:
        _, (answer,) = self.store.write([], [ClaimRequest(job, workflow, request_id)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def settle(self, settlement: Settlement) -> str:
        return self.store.write_one(settlement).verdict

    def reschedule(self, reschedule: Reschedule) -> str:
        return self.store.write_one(reschedule).verdict

    def withdraw(self, job: Job, claim: Claim) -> None:
        self.store.write_one(Withdrawal(job.id, claim.owner, claim.request_id))

    def look_again(self, job: Job, delivery: Delivery, delay_s: float) -> None:
        self.store.write_one(Postponement(job, delivery, delay_s))

    def to_backlog(self, job: Job, workflow: str, delivery: Delivery) -> None:
        self.store.write_one(ToBacklog(job, delivery, workflow))

    def write(self, decisions: Any, claims: Any = ()) -> Any:
        """As `JobStore.write`, a claim as (job, workflow, request id)."""
        return self.store.write(decisions, [ClaimRequest(*each) for each in claims])

    def record(self, job_id: str) -> dict[str, Any]:
        return self.store.record(job_id)
