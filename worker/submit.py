"""The way of one job through one attempt: validate, claim, sign and send, classify, decide, settle.

Collaborators are passed in. What comes back says only what the message's holder must do: the job's own
fate is in the journal by then.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Protocol

from tasks.contract import Status
from tasks.envelope import BadJob, Job
from tasks.payload import InvalidPayload, parse
from tasks.result import Result
from worker.alone import Alone
from worker.core.outcome import Failure, Kind, Outcome, Reply, classify
from worker.core.retry import Decision, History, Policy, Release, Retry, Settle, counts, decide
from worker.ending import result_of
from worker.flights import Flights
from worker.gate import BRAKE, PAUSED, Gate
from worker.store.claims import Carrier, Claim, Evidence, Verdict, Wait
from worker.store.journal import Journal

log = logging.getLogger(__name__)

START_WITHIN_S = 10.0
"""An attempt whose first byte has not left so long after its claim is not made. Half of the silence
after which a worker is presumed dead: one that was frozen in between must not send when it wakes."""

LOOK_AGAIN_S = 30.0
PAUSE_LOOK_S = 1.0
"""How long the gate stays closed for a pause that one job ran into; upkeep then knows better."""

SERVICE_UNAVAILABLE = 503
"""Unlike 429 it says that nobody is served: slowing down is not enough when every job is told so."""

SAYS_NOTHING = Evidence(counted=False, vendor_works=None)
OF_AN_ORPHAN = Evidence(counted=False, vendor_works=None, orphan=True)


class Vendor(Protocol):
    """Who takes the money."""

    def post(self, body: bytes, request_id: str) -> Reply | Failure: ...


class Telemetry(Protocol):
    """Who is told."""

    def keep_private(self, payload: Any) -> None: ...
    def attempt_failed(
        self, job_id: str, request_id: str, workflow: str, attempts: int, outcome: Outcome, next_step: str
    ) -> None: ...
    def job_ended(self, result: Result, outcome_kind: str | None) -> None: ...
    def misconfigured(self, outcome: Outcome) -> None: ...
    def paid_twice(self, result: Result) -> None: ...


class After(Enum):
    """What must become of the message that carried the job."""

    ENDED = auto()  # the job has ended, and its message with it
    WAITS = auto()  # the job waits in the waiting set, or on a siding, and its message with it
    KEPT = auto()  # nothing was done: give the message back
    OVER = auto()  # nothing is to be done: acknowledge the message


@dataclass(frozen=True, slots=True)
class Submitter:
    """One attempt at a time for any number of threads."""

    journal: Journal
    vendor: Vendor
    policy: Policy
    gate: Gate
    telemetry: Telemetry
    stopping: threading.Event
    alone: Alone
    flights: Flights
    rejoin: Callable[[str], str]
    jitter: Callable[[], float] = random.random

    def run(self, job: Job | BadJob, carrier: Carrier) -> After:
        """Take a delivered job one step on.

        Raises:
            StoreClosed: the worker stops while Redis is away; the message stays where it is.
        """
        if isinstance(job, BadJob):
            return self._refuse(Job(job.id, job.payload, job.metadata), carrier, job.reason)
        self.telemetry.keep_private(job.payload)
        try:
            payload = parse(job.payload, unlisted=job.unlisted)
        except InvalidPayload as error:
            return self._refuse(job, carrier, str(error))
        body = json.dumps(payload, separators=(",", ":"), allow_nan=False).encode("ascii")
        with self.alone.until_answered() as may_send:
            if not may_send or self.stopping.is_set():
                return After.KEPT
            return self._attempt(job, carrier, body)

    def _attempt(self, job: Job, carrier: Carrier, body: bytes) -> After:
        workflow = str(job.payload["workflow"])
        while True:
            request_id, asked = str(uuid.uuid4()), _uptime()
            claim = self.journal.claim(job, workflow, request_id)
            match claim.verdict:
                case Verdict.GO | Verdict.PROBE:
                    if self._is_late(claim, carrier):
                        self.journal.withdraw(job, claim)
                        return self._expire(job, carrier, claim)
                    if _uptime() - asked > START_WITHIN_S:
                        self.journal.withdraw(job, claim)
                        continue
                    return self._send(job, carrier, claim, body)
                case Verdict.SETTLED | Verdict.PARKED:
                    return After.OVER
                case Verdict.BUSY:
                    self.journal.look_again(job, carrier, LOOK_AGAIN_S)
                    return After.WAITS
                case Verdict.ORPHAN:
                    return self._adopt(job, carrier, claim)
                case Verdict.FENCED:
                    self.rejoin(claim.owner)
                case Verdict.BRAKE:
                    self.gate.close(BRAKE, claim.wait_s)
                    return After.KEPT
                case Verdict.PAUSED:
                    self.gate.close(PAUSED, PAUSE_LOOK_S)
                    return After.KEPT
                case Verdict.SIDING:
                    self.journal.to_siding(job, workflow, carrier)
                    return After.WAITS
                case Verdict.WAIT | Verdict.FULL:
                    if not self._wait(claim):
                        return After.KEPT

    def _is_late(self, claim: Claim, carrier: Carrier) -> bool:
        expired = carrier.expires_s is not None and time.time() >= carrier.expires_s
        return expired or claim.age_s >= self.policy.deadline_s

    def _wait(self, claim: Claim) -> bool:
        """Wait for a slot of the shared limits; False where the worker stops meanwhile."""
        seconds = claim.wait_s if claim.verdict is Verdict.WAIT else 0.01 + 0.02 * self.jitter()
        self.gate.limits_bind()
        return not self.stopping.wait(seconds)

    def _send(self, job: Job, carrier: Carrier, claim: Claim, body: bytes) -> After:
        started = time.monotonic()
        if not self.flights.takes_off(claim.request_id):
            self.journal.withdraw(job, claim)
            return After.KEPT
        try:
            with self.gate.sending():
                answer = self.vendor.post(body, claim.request_id)
        except Exception:
            # The vendor client maps whatever can be raised; should it fail at that, money may be gone.
            log.exception("the vendor client failed (job %s, request %s)", job.id, claim.request_id)
            answer = Failure(sent=True, detail="the vendor client failed")
        outcome = classify(answer, now=time.time())
        self.alone.answered(outcome.kind)
        counted = counts(outcome.kind)
        history = History(
            attempts=claim.attempts + counted,
            uncounted=0 if counted else claim.uncounted + 1,
            age_s=claim.age_s + time.monotonic() - started,
            unresolved=claim.unresolved,
            excused=claim.excused + (counted and claim.verdict is Verdict.PROBE),
        )
        if outcome.kind is Kind.THROTTLED:
            self.journal.throttled(min(outcome.retry_after_s or 0.0, self.policy.cap_s))
        after = self._obey(job, carrier, claim, outcome, history)
        self.flights.landed()
        return after

    def _adopt(self, job: Job, carrier: Carrier, claim: Claim) -> After:
        """Decide about a job whose worker died while sending it; the journal counted that attempt."""
        outcome = Outcome(
            Kind.UNKNOWN, error_code="AIGC_WORKER_LOST", error_msg="its worker was lost while it was sending"
        )
        history = History(claim.attempts, claim.uncounted, claim.age_s, claim.unresolved, claim.excused)
        return self._obey(job, carrier, None, outcome, history)

    def _obey(
        self, job: Job, carrier: Carrier, claim: Claim | None, outcome: Outcome, history: History
    ) -> After:
        decision = decide(outcome, history, self.policy, self.jitter())
        request_id = claim.request_id if claim else self._last_request_id(job)
        if not (isinstance(decision, Settle) and decision.status == "submitted"):
            self.telemetry.attempt_failed(
                job.id,
                request_id or "",
                str(job.payload["workflow"]),
                history.attempts,
                outcome,
                _words(decision),
            )
        said = _what_it_says(outcome) if claim else OF_AN_ORPHAN
        match decision:
            case Settle(status):
                result = result_of(
                    job, status, outcome, history.attempts, request_id, history.unresolved, datetime.now(UTC)
                )
                self._settle(job, carrier, claim, result, outcome.kind, said)
                return After.ENDED
            case Retry(delay_s) | Release(delay_s):
                if isinstance(decision, Release) and self.alone.pause():
                    self.telemetry.misconfigured(outcome)
                unresolved = history.unresolved or outcome.kind is Kind.UNKNOWN
                wait = Wait(history.attempts, history.uncounted, unresolved, delay_s)
                self.journal.park(job, carrier, claim, wait, said)
                return After.WAITS

    def _settle(
        self,
        job: Job,
        carrier: Carrier,
        claim: Claim | None,
        result: Result,
        kind: Kind,
        said: Evidence,
    ) -> None:
        if result.task_id:
            self.flights.answered(result.to_json())
        verdict = self.journal.settle(job, carrier, claim, result, said)
        if verdict == "late":
            result = replace(result, possible_duplicate=True)
            verdict = self.journal.settle(job, carrier, claim, result, said, late=True)
        if verdict == "paid-twice":
            self.telemetry.paid_twice(result)
        elif verdict == "settled":
            self.telemetry.job_ended(result, kind)

    def _refuse(self, job: Job, carrier: Carrier, reason: str) -> After:
        outcome = Outcome(Kind.REJECTED, error_code="AIGC_INVALID_PAYLOAD", error_msg=reason)
        result = result_of(job, "rejected", outcome, 0, None, False, datetime.now(UTC))
        self._settle(job, carrier, None, result, outcome.kind, SAYS_NOTHING)
        return After.ENDED

    def _expire(self, job: Job, carrier: Carrier, claim: Claim) -> After:
        outcome = Outcome(
            Kind.NOT_SENT,
            error_code="AIGC_DEADLINE_EXCEEDED",
            error_msg="the job's deadline passed before an attempt",
        )
        status: Status = "unknown" if claim.unresolved else "exhausted"
        result = result_of(
            job,
            status,
            outcome,
            claim.attempts,
            self._last_request_id(job),
            claim.unresolved,
            datetime.now(UTC),
        )
        self._settle(job, carrier, None, result, outcome.kind, SAYS_NOTHING)
        return After.ENDED

    def _last_request_id(self, job: Job) -> str | None:
        ids = self.journal.record(job.id).get("request_ids")
        return ids[-1] if ids else None


def _what_it_says(outcome: Outcome) -> Evidence:
    works = {
        Kind.ACCEPTED: True,
        Kind.REJECTED: True,
        Kind.VENDOR_FAULT: False,
        Kind.UNKNOWN: False,
        Kind.NOT_SENT: False,
    }
    works_not = outcome.kind is Kind.THROTTLED and outcome.http_status == SERVICE_UNAVAILABLE
    return Evidence(counts(outcome.kind), False if works_not else works.get(outcome.kind))


def _words(decision: Decision) -> str:
    match decision:
        case Settle(status):
            return status
        case Retry(delay_s):
            return f"retry in {delay_s:.1f} s"
        case Release(delay_s):
            return f"back to the queue, intake pauses {delay_s:.1f} s"


def _uptime() -> float:
    # Unlike the monotonic clock this one goes on while the machine sleeps.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
