"""Jobs on which callbacks hang: how one ended, and what was sent after its end.

The end of such a job leaves its message where it is, with its result in the record: so whoever takes the
message of a worker that died in between sends what follows. The record says what was sent, and keeps it for
as long as it stands: neither a redelivery nor a job that an operator queued again has it sent twice.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tasks.contract import Status
from tasks.envelope import Job
from tasks.result import NewerResult, Result
from worker.domain.outcome import Outcome, OutcomeKind
from worker.domain.result import result_of
from worker.store.keys import KeyNames
from worker.store.record import FIELDS, readable, status_of
from worker.store.redis_wait import Wait
from worker.store.scripts import Scripts


class LinkedJobs:
    """The jobs of one queue on which something hangs. Thread-safe."""

    def __init__(self, scripts: Scripts, keys: KeyNames) -> None:
        self._scripts = scripts
        self._keys = keys

    def ended(self, job: Job) -> Result | None:
        """How the job has ended; None where it has not.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        key = self._keys.job(job.id)
        record = self._scripts.patiently(lambda: self._scripts.client.hgetall(key), "a job's end")
        status = status_of(readable(record).get("state", ""))
        if status is None:
            return None
        return self._result(job, status, record)

    def may_follow(self, job_id: str, kind: str, name: str) -> bool:
        """Whether its callbacks, or errbacks, are to be sent for that message; if not, it was deleted.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        owner, _, tag = name.partition("/")
        return bool(self._scripts.insist("follow", job_id, kind, owner, tag))

    def followed_up(self, job_id: str, kind: str, name: str) -> None:
        """Note that its callbacks, or errbacks, were sent, and delete the message of that name.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        owner, _, tag = name.partition("/")
        self._scripts.insist("followed_up", job_id, kind, owner, tag)

    def wait(self) -> Wait:
        """How to wait between two tries to send what follows."""
        return self._scripts.wait("callbacks")

    def _result(self, job: Job, status: Status, record: dict[bytes, bytes]) -> Result:
        """As it was published; what is not kept of it any more is made from the record."""
        known = readable(record)
        kept = record.get(FIELDS["result"].stored.encode())
        if kept is None and status not in ("submitted", "cancelled"):
            results = self._keys.dead_letter_results
            kept = self._scripts.patiently(lambda: self._scripts.client.hget(results, job.id), "a job's end")
        if kept is not None:
            with suppress(NewerResult):  # of a later version: as its record says, which this one can read
                result = Result.from_json(kept)
                if (result.status, result.task_id) == (status, known["task_id"]):
                    return result
        return _rebuilt(job, status, known)


def _rebuilt(job: Job, status: Status, known: dict[str, Any]) -> Result:
    """For one that a neighbour ended in the name of a dead worker, or an operator."""
    outcome = Outcome(OutcomeKind.ACCEPTED, task_id=known["task_id"])
    last = known["request_ids"][-1] if known["request_ids"] else None
    finished = known["finished_s"] or 0
    return result_of(job, status, outcome, known["attempts"], last, known["possible_duplicate"], finished)
