"""The steps of a job between two exchanges with the outside, in their order. Pure: values in, values out.

    payload → validate → claim → may it still be sent? → send → classify → decide → settlement | reschedule

Who asks Redis and the vendor, and obeys what is decided here, is `worker.processing.pipeline`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from tasks.contract import Status
from tasks.envelope import InvalidJob, Job
from tasks.frozen import value
from tasks.json_text import dumps
from tasks.payload import InvalidPayload, parse
from worker.domain.outcome import Failure, Outcome, OutcomeKind, Reply, classify
from worker.domain.result import refusal_of, result_of
from worker.domain.retry import (
    REFUSALS_MOST,
    JobHistory,
    NextStep,
    Policy,
    Retry,
    RetryWithPause,
    Settle,
    counts,
    decide,
    refusals_with,
)
from worker.processing.values import Attempt, Decided, Prepared, job_of
from worker.store.values import (
    Claim,
    ClaimVerdict,
    Delivery,
    Feedback,
    Past,
    Republication,
    Reschedule,
    Settlement,
)

log = logging.getLogger(__name__)

START_WITHIN_S = 10.0
"""An attempt whose first byte has not left so long after its claim is not made. Half of the silence
after which a worker is presumed dead: one that was frozen in between must not send when it wakes."""

SERVICE_UNAVAILABLE: Final = 503
"""Unlike 429 it says that nobody is served: slowing down is not enough when every job is told so."""

HELD: Final = "unknown"
"""The state of a job of which an attempt may have been accepted."""

NO_FEEDBACK: Final = Feedback(counted=False, vendor_works=None)
OF_AN_ORPHAN: Final = Feedback(counted=False, vendor_works=None, orphan=True)


def validate(job: Job | InvalidJob, delivery: Delivery, now: float) -> Prepared | Settlement:
    """The bytes to send; a job that must not be sent ends.

    Args:
        now: seconds since the epoch.
    """
    if isinstance(job, InvalidJob):
        return _refusal(job_of(job), delivery, job.reason, now)
    try:
        payload = parse(job.payload, unlisted=job.unlisted)
    except InvalidPayload as error:
        return _refusal(job, delivery, str(error), now)
    return Prepared(job, delivery, str(payload["workflow"]), dumps(payload))


def has_expired(delivery: Delivery, claim: Claim, policy: Policy, now: float) -> bool:
    """Whether the time is over in which an attempt of the job may begin."""
    expired = delivery.expires_s is not None and now >= delivery.expires_s
    return expired or claim.age_s >= policy.deadline_s


def expire(prepared: Prepared, claim: Claim, last_request_id: str | None, now: float) -> Settlement:
    """The end of a job whose deadline passed before this attempt."""
    why = ("AIGC_DEADLINE_EXCEEDED", "the job's deadline passed before an attempt")
    return _end_unsent(prepared, claim, last_request_id, "exhausted", why, now)


def cancel(prepared: Prepared, claim: Claim, last_request_id: str | None, now: float) -> Settlement:
    """The end of a job that was cancelled before this attempt."""
    why = ("AIGC_CANCELLED", "it was cancelled; no attempt is made any more")
    return _end_unsent(prepared, claim, last_request_id, "cancelled", why, now)


def _end_unsent(
    prepared: Prepared, claim: Claim, last: str | None, status: Status, why: tuple[str, str], now: float
) -> Settlement:
    """An end without this attempt. Where an earlier one may have been accepted, that is what is known."""
    job = prepared.job
    outcome = Outcome(OutcomeKind.NOT_SENT, error_code=why[0], error_msg=why[1])
    status = "unknown" if claim.unresolved else status
    result = result_of(job, status, outcome, claim.attempts, last, claim.unresolved, now)
    return Settlement(job, prepared.delivery, None, result, outcome.kind, NO_FEEDBACK)


def hold(refused: Settlement, attempts: int, last_request_id: str | None) -> Settlement:
    """The end of a job that must not be sent, where an earlier attempt of it may have been accepted."""
    told = replace(
        refused.result, status=HELD, possible_duplicate=True, attempts=attempts, request_id=last_request_id
    )
    return replace(refused, result=told)


def expire_unsent(prepared: Prepared, reason: str, now: float) -> Settlement:
    """The end of a job whose deadline passed before any worker could have sent it."""
    outcome = Outcome(OutcomeKind.NOT_SENT, error_code="AIGC_DEADLINE_EXCEEDED", error_msg=reason)
    result = result_of(prepared.job, "exhausted", outcome, 0, None, False, now)
    return Settlement(prepared.job, prepared.delivery, None, result, outcome.kind, NO_FEEDBACK)


def republish(job: Job, delivery: Delivery, past: Past) -> Republication:
    """The result of a job that was bought, or may have been, as it is published again."""
    held = past.state == HELD
    outcome = Outcome(
        OutcomeKind.UNKNOWN if held else OutcomeKind.ACCEPTED,
        task_id=past.task_id,
        error_msg="held: an attempt may have been accepted" if held else None,
    )
    status: Status = "unknown" if held else "submitted"
    result = result_of(
        job, status, outcome, past.attempts, past.request_id, past.possible_duplicate, past.finished_s
    )
    return Republication(job, delivery, result)


def classify_answer(answer: Reply | Failure, job_id: str, now: float) -> Outcome:
    """What an attempt turned out to be; Unknown where classifying itself fails."""
    try:
        return classify(answer, now=now)
    except Exception:
        log.exception("an answer could not be classified (job %s)", job_id)
        return Outcome(
            OutcomeKind.UNKNOWN, error_code="AIGC_INTERNAL_ERROR", error_msg="see the worker's log"
        )


@value(frozen=True, slots=True)
class Moment:
    """What a decision depends on beside the job: the time, and chance.

    ``now`` is in seconds since the epoch, ``monotonic`` on that clock, ``jitter`` uniform in [0, 1).
    ``others_taken``: the vendor has accepted a job of this worker since it last refused one.
    """

    now: float
    monotonic: float
    jitter: float
    others_taken: bool = False


def decide_attempt(attempt: Attempt, outcome: Outcome, policy: Policy, moment: Moment) -> Decided:
    """What follows from an attempt's outcome."""
    claim = attempt.claim
    refusals = claim.refusals
    if outcome.perhaps_the_jobs:
        refusals = refusals_with(refusals, moment.others_taken)
        if refusals >= REFUSALS_MOST:
            outcome = replace(outcome, kind=OutcomeKind.REJECTED)
    counted = counts(outcome.kind)
    history = JobHistory(
        attempts=claim.attempts + counted,
        uncounted=0 if counted else claim.uncounted + 1,
        age_s=claim.age_s + moment.monotonic - attempt.started,
        unresolved=claim.unresolved,
        excused=claim.excused + (counted and claim.verdict is ClaimVerdict.PROBE),
        others_taken=moment.others_taken,
    )
    following = decide(outcome, history, policy, moment.jitter)
    took_s = moment.monotonic - attempt.started
    about = _About(attempt.prepared, claim, claim.request_id, feedback_of(outcome), refusals, took_s)
    return _decided(about, outcome, history, following, policy, moment.now)


def decide_orphan(
    prepared: Prepared, claim: Claim, last_request_id: str | None, policy: Policy, moment: Moment
) -> Decided:
    """What follows for a job whose worker died while it was sending; Redis has counted that attempt."""
    outcome = Outcome(
        OutcomeKind.UNKNOWN,
        error_code="AIGC_WORKER_LOST",
        error_msg="its worker was lost while it was sending",
    )
    history = JobHistory(claim.attempts, claim.uncounted, claim.age_s, claim.unresolved, claim.excused)
    following = decide(outcome, history, policy, moment.jitter)
    about = _About(prepared, None, last_request_id, OF_AN_ORPHAN)
    return _decided(about, outcome, history, following, policy, moment.now)


@value(frozen=True, slots=True)
class _About:
    prepared: Prepared
    claim: Claim | None
    request_id: str | None
    feedback: Feedback
    refusals: int = 0
    took_s: float = 0.0


def _decided(
    about: _About, outcome: Outcome, history: JobHistory, following: NextStep, policy: Policy, now: float
) -> Decided:
    job, delivery = about.prepared.job, about.prepared.delivery
    words = in_words(following)
    if isinstance(following, Settle):
        result = result_of(
            job, following.status, outcome, history.attempts, about.request_id, history.unresolved, now
        )
        settlement = Settlement(
            job, delivery, about.claim, result, outcome.kind, about.feedback, outcome.excerpt,
            took_s=about.took_s if about.claim else None,
        )  # fmt: skip
        return Decided(settlement, outcome, history.attempts, words)
    throttled = outcome.kind is OutcomeKind.THROTTLED
    reschedule = Reschedule(
        job,
        delivery,
        about.claim,
        about.feedback,
        attempts=history.attempts,
        uncounted=history.uncounted,
        unresolved=history.unresolved or outcome.kind is OutcomeKind.UNKNOWN,
        delay_s=following.delay_s,
        refusals=about.refusals,
        throttled_s=min(outcome.retry_after_s or 0.0, policy.cap_s) if throttled else None,
        took_s=about.took_s,
        kind=outcome.kind,
    )
    return Decided(reschedule, outcome, history.attempts, words, isinstance(following, RetryWithPause))


_VENDOR_WORKS: Final = {
    OutcomeKind.ACCEPTED: True,
    OutcomeKind.REJECTED: True,
    OutcomeKind.VENDOR_FAULT: False,
    OutcomeKind.UNKNOWN: False,
    OutcomeKind.NOT_SENT: False,
}


def feedback_of(outcome: Outcome) -> Feedback:
    """What an outcome says beside the job's own fate: to the circuit breaker and the other workers."""
    works = _VENDOR_WORKS.get(outcome.kind)
    if outcome.kind is OutcomeKind.THROTTLED and outcome.http_status == SERVICE_UNAVAILABLE:
        works = False
    if outcome.local:
        works = None  # this machine's own trouble
    unanswered = outcome.kind in (OutcomeKind.NOT_SENT, OutcomeKind.UNKNOWN)
    on_the_way = unanswered and not outcome.from_application
    cause = _cause(outcome) if works is False else None
    return Feedback(counts(outcome.kind), works, on_the_way=on_the_way, cause=cause)


def _cause(outcome: Outcome) -> str:
    """What speaks against the vendor; not its own words, which may quote the job."""
    said = None if outcome.from_application else outcome.error_msg
    return ": ".join(filter(None, (outcome.error_code, said)))


def in_words(following: NextStep) -> str:
    """What follows, for people."""
    match following:
        case Settle(status):
            return status
        case Retry(delay_s):
            return f"retry in {delay_s:.1f} s"
        case RetryWithPause(delay_s):
            return f"retry in {delay_s:.1f} s, intake pauses until then"


def _refusal(job: Job, delivery: Delivery, reason: str, now: float) -> Settlement:
    result = refusal_of(job, "AIGC_INVALID_PAYLOAD", reason, now)
    return Settlement(job, delivery, None, result, OutcomeKind.REJECTED, NO_FEEDBACK)
