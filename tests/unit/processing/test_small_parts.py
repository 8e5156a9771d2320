"""What the pipeline is made of: messages of many jobs, the schedule, admission by slots, wakeups."""

from __future__ import annotations

import os
import select
from typing import Any, cast

import pytest

from tasks.envelope import InvalidJob, Job
from tests.unit.processing.fakes import CAT, Clock, FakeSlots
from worker.domain.outcome import Outcome, OutcomeKind, Reply
from worker.domain.retry import Policy
from worker.processing import steps
from worker.processing.admission import FULL_LOOK_S, Admission
from worker.processing.schedule import Schedule
from worker.processing.values import Attempt, Disposition, Prepared, Received, Run
from worker.processing.wakeup import Wakeup
from worker.store.slots import SlotWatcher
from worker.store.values import Claim, ClaimVerdict, Delivery, Reschedule, Settlement

DELIVERY = Delivery("me", "1.7", 1)
NOW = steps.Moment(1_800_000_000.0, 1000.0, 0.5)
ACKNOWLEDGE, REQUEUE, SETTLED = Disposition.ACKNOWLEDGE, Disposition.REQUEUE, Disposition.SETTLED


def run_of(job_id: str) -> Run:
    return Run(Job(job_id, CAT), DELIVERY, Received("me/1.7", 1, lambda _: None, lambda _: None))


# a message


@pytest.mark.parametrize(
    ("found", "becomes"),
    [
        ([SETTLED, Disposition.DEFERRED, ACKNOWLEDGE], ACKNOWLEDGE),
        ([SETTLED, REQUEUE, SETTLED], REQUEUE),
        ([REQUEUE, Disposition.STUCK, SETTLED], Disposition.STUCK),
    ],
)
def test_a_message_of_many_jobs(found: list[Disposition], becomes: Disposition) -> None:
    """It is acknowledged only when all are done, and given back or left where it is if one must be."""
    each_done: list[str] = []
    done: list[Disposition] = []
    message = Received("me/1.7", len(found), each_done.append, done.append)
    for at, disposition in enumerate(found):
        assert (len(each_done), done) == (at, [])
        message.job_done(disposition)
    assert (each_done, done) == (["me/1.7"] * 3, [becomes])


def test_a_job_as_it_is_kept_where_it_is_none_that_may_be_sent() -> None:
    """What could be made out of it."""
    run = run_of("a")
    assert run.plain_job is run.job
    run.job = InvalidJob("a", "no", {"x": 1}, {"y": 2})
    assert run.plain_job == Job("a", {"x": 1}, {"y": 2})


# the schedule


def test_what_goes_on_at_once_keeps_its_order(clock: Clock) -> None:
    """Several that were denied together are not turned round, and go before those that came after them."""
    schedule, runs = Schedule(), [run_of(name) for name in "abcd"]
    for run in runs:
        schedule.receive(run)
    taken = [schedule.ready.popleft() for _ in range(3)]
    for run in taken:
        schedule.again(run)
    assert list(schedule.ready) == runs


def test_what_waits_for_its_time_goes_on_when_it_has_come(clock: Clock) -> None:
    """The one that is due first goes first."""
    schedule, late, soon = Schedule(), run_of("late"), run_of("soon")
    assert schedule.is_empty
    schedule.after(late, 2.0)
    schedule.after(soon, 1.0)
    assert (schedule.due_at(), schedule.is_empty) == (clock.now + 1.0, False)
    schedule.look(clock.now + 0.5)
    assert not schedule.ready
    schedule.look(clock.now + 1.0)
    assert list(schedule.ready) == [soon]
    assert schedule.take_all() == [late, soon]
    assert (schedule.is_empty, schedule.due_at()) == (True, float("inf"))


def test_deliveries_of_one_job_are_counted(clock: Clock) -> None:
    """Until one of them is alone."""
    schedule, one, other = Schedule(), run_of("a"), run_of("a")
    schedule.receive(one)
    schedule.receive(other)
    assert not schedule.is_only_delivery(one)
    schedule.leave(other)
    assert schedule.is_only_delivery(one)
    schedule.leave(one)
    assert not schedule._in_hand


# admission


def test_how_many_may_be_claimed() -> None:
    """As many as are free; one at a time as long as the vendor has not answered."""
    admission = Admission(8, cast(SlotWatcher, FakeSlots()))
    assert (admission.admits(3, True, 0.0), admission.admits(0, False, 0.0)) == (5, 1)
    assert (admission.when_admitted(8, True), admission.when_admitted(1, False)) == (float("inf"),) * 2
    assert admission.when_admitted(7, True) == 0.0
    admission.slot_may_be_free()
    admission.nobody_waits()
    assert admission.admits(3, True, 0.0) == 5


def test_one_asks_for_a_slot_each_time_that_one_may_be_free() -> None:
    """And now and then though nobody said so."""
    slots = FakeSlots()
    admission = Admission(8, cast(SlotWatcher, slots))
    admission.found_full(100.0)
    assert (admission.admits(0, True, 100.5), slots.armed) == (0, True)
    assert admission.when_admitted(0, True) == 100.0 + FULL_LOOK_S
    admission.slot_may_be_free()
    admission.slot_may_be_free()
    assert (admission.admits(0, True, 100.5), admission.when_admitted(0, True)) == (1, 0.0)
    admission.asked(1)
    admission.found_full(100.5)
    assert admission.admits(0, True, 100.9) == 0
    assert admission.admits(0, True, 101.0) == 1
    admission.nobody_waits()
    assert (admission.admits(0, True, 101.0), slots.armed) == (8, False)


# a wakeup


@pytest.mark.parametrize("has_eventfd", [True, False])
def test_a_wakeup_wakes_once(has_eventfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it was set, by a pipe as by an eventfd."""
    if not has_eventfd:
        monkeypatch.delattr(os, "eventfd", raising=False)
    bell = Wakeup()
    bell.set()
    bell.set()
    assert select.select([bell], [], [], 0)[0] == [bell]
    bell.clear()
    bell.clear()
    assert select.select([bell], [], [], 0)[0] == []
    bell.set()
    assert select.select([bell], [], [], 0)[0] == [bell]
    bell.close()


# the steps


def attempt_of(**known: Any) -> Attempt:
    nothing: dict[str, Any] = {
        "attempts": 0,
        "uncounted": 0,
        "unresolved": False,
        "age_s": 0.0,
        "wait_s": 0.0,
        "excused": 0,
    }
    claim = Claim(**{"verdict": ClaimVerdict.GO, "owner": "me", "request_id": "r", **nothing, **known})
    prepared = steps.validate(Job("a", CAT), DELIVERY, NOW.now)
    assert isinstance(prepared, Prepared)
    return Attempt(prepared, claim, 0, NOW.monotonic)


def test_what_cannot_be_classified_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one outcome that neither loses a job nor buys it twice."""
    monkeypatch.setattr(steps, "classify", lambda *_, **__: 1 / 0)
    outcome = steps.classify_answer(Reply(200, b""), "a", 0.0)
    assert (outcome.kind, outcome.error_code) == (OutcomeKind.UNKNOWN, "AIGC_INTERNAL_ERROR")


def test_an_unreachable_application_speaks_against_the_vendor_and_an_own_trouble_does_not() -> None:
    """So that a worker without descriptors does not stop all others."""
    busy = steps.feedback_of(Outcome(OutcomeKind.THROTTLED, http_status=503))
    slow = steps.feedback_of(Outcome(OutcomeKind.THROTTLED, http_status=429))
    own = steps.feedback_of(Outcome(OutcomeKind.NOT_SENT, local=True))
    assert (busy.vendor_works, slow.vendor_works, own.vendor_works) == (False, None, None)
    assert own.on_the_way


REFUSED_ALONE = Outcome(OutcomeKind.MISCONFIGURED, error_code="NEW", perhaps_the_jobs=True)
AMONG_OTHERS = steps.Moment(NOW.now, NOW.monotonic, NOW.jitter, others_taken=True)


@pytest.mark.parametrize(
    ("before", "moment", "after", "pauses"),
    [
        (0, AMONG_OTHERS, 1, False),
        (1, AMONG_OTHERS, 2, False),
        (0, NOW, 0, True),
        (1, NOW, 1, True),
    ],
)
def test_a_refusal_counts_against_a_job_while_others_are_taken(
    before: int, moment: steps.Moment, after: int, pauses: bool
) -> None:
    """Where none is, the key may be disabled: intake pauses, and nothing is held against the job."""
    decided = steps.decide_attempt(attempt_of(refusals=before), REFUSED_ALONE, Policy(), moment)
    assert isinstance(decided.decision, Reschedule)
    assert (decided.decision.refusals, decided.pauses_intake, decided.attempts) == (after, pauses, 0)


@pytest.mark.parametrize("moment", [NOW, AMONG_OTHERS])
def test_the_third_refusal_of_a_job_ends_it(moment: steps.Moment) -> None:
    """Then there need not be others any more."""
    decided = steps.decide_attempt(attempt_of(refusals=2), REFUSED_ALONE, Policy(), moment)
    assert isinstance(decided.decision, Settlement)
    assert (decided.decision.result.status, decided.decision.result.error_code) == ("rejected", "NEW")
    assert (decided.outcome.kind, decided.attempts) == (OutcomeKind.REJECTED, 1)


def test_a_refusal_of_the_configuration_never_counts_against_a_job() -> None:
    """A code of the vendor's page, or a status alone, whatever came before."""
    refused = Outcome(OutcomeKind.MISCONFIGURED, error_code="AIGC_HTTP_403")
    decided = steps.decide_attempt(attempt_of(refusals=2), refused, Policy(), AMONG_OTHERS)
    assert isinstance(decided.decision, Reschedule)
    assert (decided.decision.refusals, decided.pauses_intake) == (2, True)


def test_a_dead_workers_job_is_tried_again_where_that_is_wanted() -> None:
    """It stays in doubt whether it was bought."""
    attempt = attempt_of(attempts=1)
    decided = steps.decide_orphan(attempt.prepared, attempt.claim, "r", Policy(on_unknown="resubmit"), NOW)
    assert isinstance(decided.decision, Reschedule)
    assert (decided.decision.claim, decided.decision.unresolved) == (None, True)
    assert decided.words == "retry in 0.5 s"


def test_a_job_whose_time_is_over_while_in_doubt_ends_as_unknown() -> None:
    """An earlier attempt may have been taken."""
    attempt = attempt_of(unresolved=True, age_s=90_000.0)
    assert steps.has_expired(DELIVERY, attempt.claim, Policy(), NOW.now)
    assert isinstance(settlement := steps.expire(attempt.prepared, attempt.claim, "r", NOW.now), Settlement)
    assert (settlement.result.status, settlement.result.possible_duplicate) == ("unknown", True)


def test_a_probe_that_fails_is_not_held_against_its_job() -> None:
    """The outage spoiled it."""
    policy, outcome = Policy(max_attempts=1), Outcome(OutcomeKind.VENDOR_FAULT)
    plain = steps.decide_attempt(attempt_of(), outcome, policy, NOW)
    probe = steps.decide_attempt(attempt_of(verdict=ClaimVerdict.PROBE), outcome, policy, NOW)
    assert (type(plain.decision), type(probe.decision)) == (Settlement, Reschedule)
    released = steps.decide_attempt(attempt_of(), Outcome(OutcomeKind.MISCONFIGURED), policy, NOW)
    assert released.pauses_intake
    assert released.words.endswith("intake pauses until then")
