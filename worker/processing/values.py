"""What an attempt is made of: the values that its steps hand on, and who takes part in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final, Protocol

from tasks.envelope import Job
from tasks.result import Result
from worker.domain.outcome import Failure, Outcome, OutcomeKind, Reply
from worker.domain.result import result_of
from worker.domain.retry import Decision, Release, Retry, Settle, counts
from worker.store.values import Claim, Delivery, Feedback, Settlement

SERVICE_UNAVAILABLE = 503
"""Unlike 429 it says that nobody is served: slowing down is not enough when every job is told so."""

SAYS_NOTHING = Feedback(counted=False, vendor_works=None)
OF_AN_ORPHAN = Feedback(counted=False, vendor_works=None, orphan=True)


class Vendor(Protocol):
    """Who takes the money."""

    def post(self, body: bytes, request_id: str) -> Reply | Failure: ...


class Reporter(Protocol):
    """Who is told."""

    def keep_private(self, payload: Any) -> None: ...
    def attempt_failed(
        self, job_id: str, request_id: str, workflow: str, attempts: int, outcome: Outcome, next_step: str
    ) -> None: ...
    def job_ended(self, result: Result, outcome_kind: str | None) -> None: ...
    def misconfigured(self, outcome: Outcome) -> None: ...
    def cut_off(self, detail: str) -> None: ...
    def paid_twice(self, result: Result) -> None: ...
    def store_refuses(self, words: str) -> None: ...
    def redacted(self, text: str) -> str: ...


class Disposition(Enum):
    """What must become of the message that carried the job."""

    ENDED = auto()  # the job has ended, and its message with it
    WAITS = auto()  # the job waits in the waiting set, or on a siding, and its message with it
    KEPT = auto()  # nothing was done: give the message back
    OVER = auto()  # nothing is to be done: acknowledge the message
    STUCK = auto()  # it can neither go on nor wait: leave the message where it is, and take it again later


@dataclass(frozen=True, slots=True)
class Ready:
    """A job that is fit to be sent, as the bytes to send."""

    job: Job
    delivery: Delivery
    workflow: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Attempt:
    """A job of which bytes may leave from now on."""

    ready: Ready
    claim: Claim
    slot: int
    started: float


def refusal(job: Job, delivery: Delivery, reason: str) -> Settlement:
    """The end of a job that must not be sent."""
    outcome = Outcome(OutcomeKind.REJECTED, error_code="AIGC_INVALID_PAYLOAD", error_msg=reason)
    result = result_of(job, "rejected", outcome, 0, None, False, datetime.now(UTC))
    return Settlement(job, delivery, None, result, outcome.kind, SAYS_NOTHING)


_VENDOR_WORKS: Final = {
    OutcomeKind.ACCEPTED: True,
    OutcomeKind.REJECTED: True,
    OutcomeKind.VENDOR_FAULT: False,
    OutcomeKind.UNKNOWN: False,
    OutcomeKind.NOT_SENT: False,
}


def feedback_of(outcome: Outcome) -> Feedback:
    """What an attempt says beside the job's own fate."""
    works = _VENDOR_WORKS.get(outcome.kind)
    if outcome.kind is OutcomeKind.THROTTLED and outcome.http_status == SERVICE_UNAVAILABLE:
        works = False
    if outcome.local:
        works = None  # this machine's own trouble
    on_the_way = not outcome.from_application and outcome.kind in (OutcomeKind.NOT_SENT, OutcomeKind.UNKNOWN)
    return Feedback(counts(outcome.kind), works, on_the_way=on_the_way)


def words(decision: Decision) -> str:
    """What follows, for people."""
    match decision:
        case Settle(status):
            return status
        case Retry(delay_s):
            return f"retry in {delay_s:.1f} s"
        case Release(delay_s):
            return f"back to the queue, intake pauses {delay_s:.1f} s"
