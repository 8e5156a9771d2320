"""What follows from each outcome: decisions and their delays."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.outcome import Outcome, OutcomeKind
from worker.domain.retry import (
    JobHistory,
    NextStep,
    Policy,
    Retry,
    RetryWithPause,
    Settle,
    backoff_s,
    counts,
    decide,
    patient_backoff_s,
)

UNCOUNTED = [OutcomeKind.NOT_SENT, OutcomeKind.THROTTLED, OutcomeKind.MISCONFIGURED]
HOLD, RESUBMIT = Policy(), Policy(on_unknown="resubmit")
ALMOST_ONE = math.nextafter(1.0, 0.0)


def after(kind: OutcomeKind, policy: Policy = HOLD, *, jitter: float = 0.5, **past: Any) -> NextStep:
    history = JobHistory(**({"attempts": 1, "uncounted": 1, "age_s": 0.0} | past))
    return decide(Outcome(kind), history, policy, jitter)


def test_only_what_the_vendor_answered_or_may_have_taken_counts() -> None:
    """Three kinds cost no attempt."""
    assert [kind for kind in OutcomeKind if not counts(kind)] == [
        OutcomeKind.THROTTLED,
        OutcomeKind.NOT_SENT,
        OutcomeKind.MISCONFIGURED,
    ]


@pytest.mark.parametrize("unresolved", [False, True])
@pytest.mark.parametrize("age_s", [0.0, 1e9])
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (OutcomeKind.ACCEPTED, "submitted"),
        (OutcomeKind.REJECTED, "rejected"),
        (OutcomeKind.UNKNOWN, "unknown"),
    ],
)
def test_final_outcomes_settle_at_once(
    kind: OutcomeKind, status: str, age_s: float, unresolved: bool
) -> None:
    """Acceptance, rejection and, under hold, the unknown end a job, whatever its past."""
    decision = after(kind, age_s=age_s, unresolved=unresolved)
    assert isinstance(decision, Settle)
    assert decision.status == status


@pytest.mark.parametrize(
    ("kind", "policy", "unresolved", "status"),
    [
        (OutcomeKind.VENDOR_FAULT, HOLD, False, "exhausted"),
        (OutcomeKind.VENDOR_FAULT, RESUBMIT, True, "unknown"),
        (OutcomeKind.UNKNOWN, RESUBMIT, False, "unknown"),
    ],
)
def test_attempts_run_out_after_exactly_the_maximum(
    kind: OutcomeKind, policy: Policy, unresolved: bool, status: str
) -> None:
    """The sixth failure of six settles, the fifth does not; what may be accepted ends as unknown."""
    assert isinstance(after(kind, policy, attempts=5, unresolved=unresolved), Retry)
    assert after(kind, policy, attempts=6, unresolved=unresolved) == Settle(status)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", UNCOUNTED)
def test_uncounted_kinds_never_run_out_of_attempts(kind: OutcomeKind) -> None:
    """Only the deadline ends a job that never reached the vendor's application."""
    expected = RetryWithPause if kind is OutcomeKind.MISCONFIGURED else Retry
    assert isinstance(after(kind, attempts=6, uncounted=10**9), expected)


@pytest.mark.parametrize("kind", [OutcomeKind.VENDOR_FAULT, *UNCOUNTED])
@pytest.mark.parametrize(("unresolved", "status"), [(False, "exhausted"), (True, "unknown")])
def test_no_attempt_is_planned_past_the_deadline(kind: OutcomeKind, unresolved: bool, status: str) -> None:
    """A job settles as soon as its next attempt would start too late."""
    policy = Policy(deadline_s=100.0)
    assert not isinstance(after(kind, policy, age_s=90.0, unresolved=unresolved), Settle)
    decision = after(kind, policy, age_s=99.9, unresolved=unresolved)
    assert isinstance(decision, Settle)
    assert decision.status == status


def test_backoff_is_full_jitter() -> None:
    """Delays spread evenly from nothing to a ceiling that doubles up to the cap."""
    ceilings = [backoff_s(n, HOLD, ALMOST_ONE) for n in range(1, 9)]
    assert ceilings == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    assert [backoff_s(n, HOLD, 0.0) for n in (1, 9)] == [0.0, 0.0]
    assert backoff_s(3, HOLD, 0.25) == 1.0


def test_throttled_waits_longer_than_a_vendor_fault() -> None:
    """Even the shortest wait after a 429 is as long as the longest after a fault, below the cap."""
    for n in range(1, 5):
        assert patient_backoff_s(n, HOLD, 0.0) >= backoff_s(n, HOLD, ALMOST_ONE)
    assert after(OutcomeKind.THROTTLED) == Retry(patient_backoff_s(1, HOLD, 0.5))


@pytest.mark.parametrize(("retry_after_s", "delay_s"), [(None, 0.5), (0.1, 0.5), (7.0, 7.0), (1e9, 60.0)])
def test_retry_after_is_a_lower_bound_up_to_the_cap(retry_after_s: float | None, delay_s: float) -> None:
    """The vendor's wish lengthens a wait, never shortens it, and never beyond the cap."""
    outcome = Outcome(OutcomeKind.VENDOR_FAULT, retry_after_s=retry_after_s)
    assert decide(outcome, JobHistory(1, 0, 0.0), HOLD, 0.5) == Retry(delay_s)


policies = st.builds(
    Policy,
    st.integers(1, 100),
    st.floats(1e-9, 1e9),
    st.floats(1e-9, 1e9),
    st.floats(1e-9, 1e9),
    st.sampled_from(["hold", "resubmit"]),
)
histories = st.builds(
    JobHistory, st.integers(0, 10**400), st.integers(0, 10**400), st.floats(0, 1e12), st.booleans()
)
outcomes = st.builds(
    Outcome, st.sampled_from(OutcomeKind), retry_after_s=st.none() | st.floats(0, allow_infinity=True)
)


@given(outcomes, histories, policies, st.floats(0, 1, exclude_max=True))
def test_every_decision_is_within_its_bounds(
    outcome: Outcome, history: JobHistory, policy: Policy, jitter: float
) -> None:
    """Delays stay within cap and deadline, attempts within the maximum, for numbers of any size."""
    decision = decide(outcome, history, policy, jitter)
    if isinstance(decision, Settle):
        may_be_accepted = history.unresolved or outcome.kind is OutcomeKind.UNKNOWN
        assert not (decision.status == "exhausted" and may_be_accepted)
        return
    assert 0 <= decision.delay_s <= policy.cap_s
    assert decision.delay_s >= min(outcome.retry_after_s or 0, policy.cap_s)
    assert history.age_s + decision.delay_s <= policy.deadline_s
    assert not counts(outcome.kind) or history.attempts < policy.max_attempts
    assert isinstance(decision, RetryWithPause) == (outcome.kind is OutcomeKind.MISCONFIGURED)


@given(st.integers(-5, 10**400), policies, st.floats(0, 1, exclude_max=True))
def test_backoff_is_finite_for_any_attempt_number(n: int, policy: Policy, jitter: float) -> None:
    """No attempt number overflows, and neither backoff passes the cap."""
    assert 0 <= backoff_s(n, policy, jitter) <= policy.cap_s
    assert 0 <= patient_backoff_s(n, policy, jitter) <= policy.cap_s
