"""The journal: who may POST a job, what became of it, and its one result.

One small hash a job. `claim` comes before the first byte leaves, `settle` or `park` after the answer;
each is one script and one round trip, and each may be repeated after a lost reply. The request id of
an attempt is its fencing token: only the attempt that the record names last may decide.

    (none) → reserved → sending → accepted | rejected | exhausted | unknown
                 ↑          ↓  ↘ orphan (its worker died) → unknown | waiting
                 └─ waiting ←
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tasks.contract import Status
from tasks.envelope import Job, encode
from tasks.result import Result
from worker.store.keys import Keys
from worker.store.members import Membership
from worker.store.scripts import Scripts


class Verdict(StrEnum):
    """What a claim was answered."""

    GO = "go"  # the job is yours: send it
    PROBE = "probe"  # the brake is on: send it, alone, to see whether the vendor is back
    WAIT = "wait"  # your slot comes later: claim again then
    FULL = "full"  # all places in flight are taken
    BRAKE = "brake"  # the vendor is down: give the job back
    PAUSED = "paused"  # an operator paused it: give the job back
    SETTLED = "settled"  # it has ended already
    PARKED = "parked"  # it waits for its next attempt already
    BUSY = "busy"  # a living worker is sending it
    ORPHAN = "orphan"  # a worker died while sending it
    FENCED = "fenced"  # this worker was declared dead and needs a new name


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim, with what the journal knows of the job."""

    verdict: Verdict
    attempts: int
    uncounted: int
    unresolved: bool
    age_s: float
    wait_s: float
    owner: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Carrier:
    """What holds a job's message while the job is worked on.

    ``tag`` names it among the unacked messages of ``owner``; it is empty for a job out of a batch, whose
    message carries others too.
    """

    owner: str
    tag: str
    list_index: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that all workers share; 0 is none. Intervals in milliseconds between two posts."""

    max_inflight: int = 0
    interval_ms: float = 0.0
    workflow_interval_ms: tuple[tuple[str, float], ...] = ()

    def of_workflow(self, workflow: str) -> float:
        return next((ms for name, ms in self.workflow_interval_ms if name == workflow), 0.0)


class Journal:
    """The journal of one queue, for one process.

    Args:
        scripts: the scripts on the queue's Redis.
        members: the name under which this process claims.
        results_maxlen: results kept in the stream, about.
        ttl_s: seconds that the record of an ended job is kept; a redelivery after that would be new.
    """

    def __init__(
        self,
        scripts: Scripts,
        keys: Keys,
        members: Membership,
        *,
        limits: Limits,
        results_maxlen: int,
        ttl_s: int,
    ) -> None:
        self._scripts = scripts
        self._keys = keys
        self._members = members
        self._limits = limits
        self._results_maxlen = results_maxlen
        self._ttl_s = ttl_s

    def claim(self, job: Job, workflow: str, request_id: str) -> Claim:
        """Ask for the right to POST the job under this request id (a UUID).

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        keys, owner = self._keys, self._members.owner
        answer = self._scripts.insist(
            "claim",
            [
                keys.job(job.id), keys.sending, keys.workers, keys.waiting, keys.brake,
                keys.pace, keys.rate, keys.workflow_rate(workflow), keys.paused,
            ],
            [
                job.id, owner, _packed(request_id), job.enqueued_ms or "", workflow,
                self._limits.max_inflight, self._limits.interval_ms, self._limits.of_workflow(workflow),
            ],
        )  # fmt: skip
        verdict, attempts, uncounted, unresolved, age_ms, wait_ms = answer
        return Claim(
            Verdict(verdict.decode()), int(attempts), int(uncounted), unresolved == b"1",
            int(age_ms) / 1000, int(wait_ms) / 1000, owner, request_id,
        )  # fmt: skip

    def settle(self, job: Job, carrier: Carrier, claim: Claim | None, result: Result, *, counted: bool,
               late: bool = False) -> str:  # fmt: skip
        """End the job with this result; ``claim`` is None where no attempt was made.

        Returns:
            ``settled``; ``already`` where it had ended; ``late`` where the attempt was fenced but the vendor
            accepted it (call again with ``late``); ``stale`` where it was fenced and has nothing to say;
            ``paid-twice`` where another attempt of the job had been accepted before.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        keys = self._keys
        state = _STATES[result.status]
        message = b"" if state == "accepted" else self._message(job, carrier)
        verdict: bytes = self._scripts.insist(
            "settle",
            [
                keys.job(job.id), keys.sending, keys.waiting, keys.waiting_messages, keys.results,
                keys.shelf(result.status), keys.shelved_messages, keys.counters, keys.unacked(carrier.owner),
                keys.shelf("unknown"), keys.shelved_results,
            ],
            [
                job.id, self._members.owner, _packed(claim.request_id) if claim else b"", result.status,
                state, result.to_json(), result.attempts, result.task_id or "",
                int(result.possible_duplicate), self._results_maxlen, self._ttl_s, carrier.tag, message,
                int(counted), int(late),
                carrier.list_index,
            ],
        )  # fmt: skip
        return verdict.decode()

    def park(
        self, job: Job, carrier: Carrier, claim: Claim | None, *, attempts: int, uncounted: int,
        unresolved: bool, delay_s: float, counted: bool,
    ) -> str:  # fmt: skip
        """Let the job wait for its next attempt, without a thread, a message or memory of this worker.

        Returns:
            ``parked``, or ``stale`` where another attempt decides about the job now.
        """
        return self._park(
            job, carrier, _packed(claim.request_id) if claim else b"", attempts, uncounted, unresolved,
            delay_s, counted, look=False,
        )  # fmt: skip

    def look_again(self, job: Job, carrier: Carrier, delay_s: float) -> None:
        """Let this delivery of a job wait, whatever its record says: another delivery is being worked on."""
        self._park(job, carrier, b"", 0, 0, False, delay_s, False, look=True)

    def _park(
        self, job: Job, carrier: Carrier, request_id: bytes, attempts: int, uncounted: int,
        unresolved: bool, delay_s: float, counted: bool, *, look: bool,
    ) -> str:  # fmt: skip
        keys = self._keys
        verdict: bytes = self._scripts.insist(
            "park",
            [
                keys.job(job.id), keys.sending, keys.waiting, keys.waiting_messages, keys.counters,
                keys.unacked(carrier.owner),
            ],
            [
                job.id, self._members.owner, request_id, attempts, uncounted, int(unresolved),
                round(delay_s * 1000), carrier.tag, self._message(job, carrier), int(counted), int(look),
                carrier.list_index,
            ],
        )  # fmt: skip
        return verdict.decode()

    def _message(self, job: Job, carrier: Carrier) -> bytes:
        """The job as a message of its own, for one that came in a batch, or whose message is gone."""
        try:
            return encode(job, self._keys.lists[carrier.list_index])
        except (ValueError, TypeError, RecursionError):
            return b""  # what JSON cannot carry was refused before, and is shelved without its message

    def withdraw(self, job: Job, claim: Claim) -> None:
        """Take back a claim of which surely nothing was sent."""
        keys = self._keys
        self._scripts.insist(
            "withdraw",
            [keys.job(job.id), keys.sending, keys.brake],
            [job.id, claim.owner, _packed(claim.request_id)],
        )

    def record(self, job_id: str) -> dict[str, Any]:
        """What the journal knows of a job, readable; empty where it knows nothing."""
        return readable(self._scripts.client.hgetall(self._keys.job(job_id)))


_STATES: dict[Status, str] = {
    "submitted": "accepted",
    "rejected": "rejected",
    "exhausted": "exhausted",
    "unknown": "unknown",
}


def _packed(request_id: str) -> bytes:
    # 16 bytes instead of 36: the journal keeps every one of a job.
    return uuid.UUID(request_id).bytes


def readable(record: dict[bytes, bytes]) -> dict[str, Any]:
    """A record's fields by their full names."""
    if not record:
        return {}
    packed = record.get(b"r", b"")
    return {
        "state": record.get(b"s", b"reserved").decode(),
        "attempts": int(record.get(b"n", 0)),
        "request_ids": [str(uuid.UUID(bytes=packed[i : i + 16])) for i in range(0, len(packed), 16)],
        "task_id": record[b"k"].decode() if b"k" in record else None,
        "possible_duplicate": record.get(b"d") == b"1",
        "owner": record[b"o"].decode() if b"o" in record else None,
        "enqueued_ms": int(record[b"e"]) if b"e" in record else None,
        "finished_s": int(record[b"f"]) if b"f" in record else None,
    }
