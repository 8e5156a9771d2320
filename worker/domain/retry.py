"""What follows from an outcome: settle the job, or try it again later, with or without a pause of intake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, assert_never

from tasks.contract import Status
from tasks.frozen import value
from worker.domain.outcome import TASK_ID_WITHOUT_SUCCESS, Outcome, OutcomeKind

_COUNTED: Final = frozenset(
    {OutcomeKind.ACCEPTED, OutcomeKind.VENDOR_FAULT, OutcomeKind.UNKNOWN, OutcomeKind.REJECTED}
)

REFUSALS_MOST: Final = 3
"""A job that the vendor refused so often by a code that its page does not name, while it took others, is to
blame itself."""

PATIENCE: Final = 4
"""How many times longer than after a vendor fault we wait where the vendor asked us to slow down."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long and how often to try; times in seconds."""

    max_attempts: int = 6
    base_s: float = 1.0
    cap_s: float = 60.0
    deadline_s: float = 86_400.0
    on_unknown: Literal["hold", "resubmit"] = "hold"


@value(frozen=True, slots=True)
class JobHistory:
    """What a job has behind it, the attempt being decided included.

    ``attempts``: those that count. ``uncounted``: those in a row that do not. ``age_s``: seconds since
    it was enqueued. ``unresolved``: an earlier attempt ended Unknown, so it may have been accepted.
    ``excused``: those of ``attempts`` that an outage spoiled, so they are not held against the job.
    ``others_taken``: the vendor has accepted a job of this worker since it last refused one for the worker's
    configuration, so it may refuse this one alone.
    """

    attempts: int
    uncounted: int
    age_s: float
    unresolved: bool = False
    excused: int = 0
    others_taken: bool = False


@value(frozen=True, slots=True)
class Settle:
    """The job ends with this status."""

    status: Status


@value(frozen=True, slots=True)
class Retry:
    """The job waits this long for its next attempt."""

    delay_s: float


@value(frozen=True, slots=True)
class RetryWithPause:
    """The job waits this long for its next attempt, and so does intake: every other job would fail alike."""

    delay_s: float


NextStep = Settle | Retry | RetryWithPause


def counts(kind: OutcomeKind) -> bool:
    """Whether the vendor's application answered the attempt, or may have taken it."""
    return kind in _COUNTED


def decide(outcome: Outcome, history: JobHistory, policy: Policy, jitter: float) -> NextStep:
    """Decide what follows from an attempt.

    Args:
        outcome: what the attempt turned out to be.
        history: the job's past, this attempt included.
        policy: the bounds.
        jitter: uniform in [0, 1), drawn by the caller.
    """
    match outcome.kind:
        case OutcomeKind.ACCEPTED:
            return Settle("submitted")
        case OutcomeKind.REJECTED:
            return Settle("rejected")
        case OutcomeKind.UNKNOWN if (
            policy.on_unknown == "hold" or outcome.error_code == TASK_ID_WITHOUT_SUCCESS
        ):
            return Settle("unknown")  # with a task id in hand, to submit again is to buy twice
        case OutcomeKind.VENDOR_FAULT | OutcomeKind.UNKNOWN:
            charged = history.attempts - history.excused
            if charged >= policy.max_attempts:
                return _give_up(outcome, history)
            delay_s = backoff_s(charged, policy, jitter)
        case OutcomeKind.NOT_SENT:
            delay_s = backoff_s(history.uncounted, policy, jitter)
        case OutcomeKind.THROTTLED | OutcomeKind.MISCONFIGURED:
            delay_s = patient_backoff_s(history.uncounted, policy, jitter)
        case _:
            assert_never(outcome.kind)
    delay_s = max(delay_s, min(outcome.retry_after_s or 0.0, policy.cap_s))
    if history.age_s + delay_s > policy.deadline_s:
        return _give_up(outcome, history)
    only_this_job = outcome.perhaps_the_jobs and history.others_taken
    if outcome.kind is OutcomeKind.MISCONFIGURED and not only_this_job:
        return RetryWithPause(delay_s)
    return Retry(delay_s)


def refusals_with(refusals: int, others_taken: bool) -> int:
    """How often a job was refused that may be to blame itself, with one more such refusal.

    Only refusals count while others are taken, for a disabled key refuses all jobs; but the last one counts
    anyway: by then there may be no other job left to tell.
    """
    return refusals + (others_taken or refusals == REFUSALS_MOST - 1)


def backoff_s(n: int, policy: Policy, jitter: float) -> float:
    """Full jitter before the attempt after the n-th (from 1): uniform(0, min(cap, base * 2**(n-1)))."""
    return jitter * _ceiling_s(n, policy.base_s, policy.cap_s)


def patient_backoff_s(n: int, policy: Policy, jitter: float) -> float:
    """Longer, and never less than half of its ceiling: for a vendor that asked for less."""
    return (1 + jitter) / 2 * _ceiling_s(n, PATIENCE * policy.base_s, policy.cap_s)


def _ceiling_s(n: int, base_s: float, cap_s: float) -> float:
    # 2.0**1000 is a float still, and its product overflows to infinity without raising.
    return min(cap_s, base_s * 2.0 ** min(max(n - 1, 0), 1000))


def _give_up(outcome: Outcome, history: JobHistory) -> Settle:
    may_be_accepted = history.unresolved or outcome.kind is OutcomeKind.UNKNOWN
    return Settle("unknown" if may_be_accepted else "exhausted")
