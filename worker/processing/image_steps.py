"""What follows for a job whose pictures were checked before its claim. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tasks.contract import Status
from worker.domain.outcome import Outcome, OutcomeKind
from worker.domain.result import result_of
from worker.domain.retry import Policy
from worker.preflight.values import Fault
from worker.processing.deadline import age_and_left_s
from worker.processing.steps import NO_FEEDBACK, Moment, hold
from worker.processing.values import Prepared
from worker.store.record import ENDED_STATES
from worker.store.values import Postponement, Settlement

LOOK_MOST_S: Final = 600.0
"""A job whose picture cannot be had is looked at again after so long at the latest."""

LATER_MOST_S: Final = 300.0

Faults = Sequence[tuple[str, Fault]]
"""Paths of fields, in the payload's order, each with what is wrong with its picture."""


def decide_faults(
    prepared: Prepared, faults: Faults, record: Mapping[str, Any], policy: Policy, moment: Moment
) -> Settlement | Postponement | None:
    """The end of a job with a certain fault; one with others waits, until its deadline.

    Args:
        record: what is known of the job; empty where nothing is.

    Returns:
        None where the claim has to decide: the job was cancelled, or another delivery of it is being sent.
    """
    if record.get("state") in ENDED_STATES:
        record = {}  # of an earlier run; the script that writes the decision sees to what comes again
    elif "cancel_asked_ms" in record or record.get("state") in ("sending", "orphan"):
        return None
    job, delivery, now = prepared.job, prepared.delivery, moment.now
    if certain := [(path, fault) for path, fault in faults if fault.certain]:
        return _ended(prepared, "rejected", certain, record, now)
    age_s, left_s = age_and_left_s(job, delivery, record, policy, now)
    if left_s <= 0:
        return _ended(prepared, "exhausted", faults, record, now)
    ceiling_s = min(LOOK_MOST_S, max(policy.base_s, age_s / 2))
    delay_s = (1 + moment.jitter) / 2 * ceiling_s
    return Postponement(job, delivery, min(delay_s, max(left_s, policy.base_s)), first_seen=True)


def wait_for_check(
    prepared: Prepared, seconds: float, policy: Policy, now: float
) -> Settlement | Postponement | None:
    """A job waits outside the worker until its pictures are known; None where its deadline has passed."""
    job, delivery = prepared.job, prepared.delivery
    _, left_s = age_and_left_s(job, delivery, {}, policy, now)
    if left_s <= 0:
        return None
    return Postponement(job, delivery, min(max(seconds, policy.base_s), LATER_MOST_S), first_seen=True)


def _ended(
    prepared: Prepared, status: Status, faults: Faults, record: Mapping[str, Any], now: float
) -> Settlement:
    """An end without this attempt. Where an earlier one may have been accepted, that is what is known."""
    kind = OutcomeKind.REJECTED if status == "rejected" else OutcomeKind.NOT_SENT
    words = "; ".join(f"{path}: {fault.words}" for path, fault in faults)
    outcome = Outcome(kind, error_code=str(faults[0][1].code), error_msg=words)
    attempts, last = record.get("attempts", 0), next(reversed(record.get("request_ids", ())), None)
    job = prepared.job
    result = result_of(job, status, outcome, attempts, last, False, now)
    settlement = Settlement(job, prepared.delivery, None, result, kind, NO_FEEDBACK)
    return hold(settlement, attempts, last) if record.get("possible_duplicate") else settlement
