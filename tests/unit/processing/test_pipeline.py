"""A job's way through the pipeline, as far as the vendor's answer and its settlement."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import redis

from tasks.envelope import InvalidJob, Job
from tests.unit.processing.fakes import (
    ACCEPTED,
    AUTH_ERROR,
    CAT,
    LINK,
    OWNER,
    SYS_ERROR,
    Clock,
    Stage,
    claim_of,
    settles,
)
from worker.domain.outcome import Failure, OtherWorkers
from worker.processing import steps
from worker.processing.flow_control import BREAKER, MISCONFIGURED, PAUSED, REFUSING, UNREACHABLE
from worker.processing.in_hand import BUSY_LOOK_S
from worker.processing.values import Disposition
from worker.store.jobs import ClaimRequest
from worker.store.values import (
    Claim,
    ClaimVerdict,
    Decision,
    Postponement,
    Reschedule,
    Settlement,
    ToBacklog,
    Withdrawal,
    WriteReply,
)

LOST = Failure(sent=True, detail="lost")
REFUSED = Failure(sent=False, detail="refused")
INVALID = {**CAT, "workflow": "nobody knows"}


def denied(verdict: ClaimVerdict, **known: Any) -> Any:
    return lambda request: claim_of(request, verdict, **known)


def test_an_accepted_job_is_settled_with_its_task(stage: Stage) -> None:
    """Claimed and sent under one request id, kept in the in-flight log until Redis has it."""
    stage.receive("a")
    stage.settle()
    assert stage.network.sent == ["a"]
    (request,) = stage.store.asked
    assert stage.around.inflight.known().sent == {request.request_id}
    stage.network.answer("a")
    stage.pipeline.wait()
    assert json.loads(stage.around.inflight.known().answered[request.request_id])["taskId"] == "task-1"
    stage.settle()
    (settlement,) = stage.store.told
    assert isinstance(settlement, Settlement)
    assert (settlement.result.status, settlement.result.task_id) == ("submitted", "task-1")
    assert settlement.result.request_id == request.request_id
    assert stage.ended("a") is Disposition.SETTLED
    assert not stage.around.inflight.known().answered
    assert stage.pipeline.idle
    assert stage.sleeps_s == float("inf")


def test_invalid_jobs_do_not_make_the_thread_go_round(stage: Stage) -> None:
    """They end, take no place, and nothing is looked at again before the vendor answers."""
    jobs: list[Job | InvalidJob | str] = [f"good-{i}" for i in range(8)]
    for at in (0, 4, 9):
        jobs.insert(at, Job(f"bad-{at}", INVALID))
    stage.receive(*jobs)
    stage.settle()
    assert stage.network.in_flight == 8
    assert [stage.ended(f"bad-{at}") for at in (0, 4, 9)] == [Disposition.SETTLED] * 3
    assert stage.network.timeouts.count(0.0) <= 3
    stage.receive(Job("bad", INVALID))
    stage.settle()
    assert stage.ended("bad") is None, "there is no room, and so nothing is looked at"
    assert stage.sleeps_s == float("inf")


def test_what_is_no_job_ends_as_rejected(stage: Stage) -> None:
    """Nothing is claimed for it."""
    stage.receive(InvalidJob("none", "payload: must be an object"))
    stage.settle()
    (settlement,) = stage.store.told
    assert (settlement.result.status, settlement.result.error_msg) == (
        "rejected",
        "payload: must be an object",
    )
    assert (stage.ended("none"), stage.store.asked) == (Disposition.SETTLED, [])


def test_a_fault_in_validating_harms_no_other_job(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job waits a while; the next one is sent."""
    validate = steps.validate

    def broken(job: Job | InvalidJob, *rest: Any) -> Any:
        return 1 / 0 if job.id == "a" else validate(job, *rest)

    monkeypatch.setattr(steps, "validate", broken)
    stage.receive("a", "b")
    stage.settle()
    assert stage.network.sent == ["b"]
    assert isinstance(stage.store.told[0], Postponement)
    assert (stage.ended("a"), stage.reporter.told) == (Disposition.DEFERRED, [("crashed", "a")])


def test_connections_are_opened_before_anything_is_claimed(stage: Stage) -> None:
    """A claim that stands while a connection is waited for would hold a shared slot for nothing."""
    stage.network.opens = None
    stage.receive("a", "b", "c")
    stage.settle()
    assert (stage.network.opened, stage.store.asked) == (3, [])
    assert stage.sleeps_s == float("inf"), "woken when one is open"
    stage.network.links, stage.network.connecting = [LINK], 2
    stage.settle()
    assert stage.network.sent == ["a"]
    assert stage.network.opened == 3


def test_a_connection_that_failed_is_the_attempts_outcome(stage: Stage) -> None:
    """NotSent, which counts as no attempt and leaves no trace in the in-flight log."""
    stage.network.opens = REFUSED
    stage.receive("a")
    entries = len(stage.around.inflight._free)
    stage.settle()
    (reschedule,) = stage.store.told
    assert isinstance(reschedule, Reschedule)
    assert (reschedule.attempts, reschedule.uncounted, reschedule.unresolved) == (0, 1, False)
    assert len(stage.around.inflight._free) == entries
    assert stage.ended("a") is Disposition.DEFERRED


def test_failures_are_forgotten_once_nobody_waits(stage: Stage) -> None:
    """What failed before says nothing of what comes."""
    stage.settle()
    assert stage.network.failures_forgotten == 1


def test_the_first_attempt_goes_alone(clock: Clock) -> None:
    """The others follow once the vendor has answered it."""
    stage = Stage(clock, proven=False)
    stage.receive("a", "b", "c")
    stage.settle()
    assert (stage.network.sent, len(stage.store.asked)) == (["a"], 1)
    stage.network.answer("a", SYS_ERROR)
    stage.settle()
    assert stage.network.sent == ["b", "c"]


def test_a_refused_configuration_gives_back_what_is_in_hand(clock: Clock) -> None:
    """None of the others is tried; it is said once."""
    stage = Stage(clock, proven=False)
    stage.receive("a", "b", "c")
    stage.settle()
    stage.network.answer("a", AUTH_ERROR)
    stage.settle()
    assert [stage.ended(job) for job in "abc"] == [
        Disposition.DEFERRED, Disposition.REQUEUE, Disposition.REQUEUE
    ]  # fmt: skip
    assert stage.around.flow_control.reasons() == [MISCONFIGURED]
    assert ("misconfigured", "") in stage.reporter.told
    assert (len(stage.store.asked), stage.pipeline.idle) == (1, True)


def test_a_claim_that_is_answered_after_the_first_attempt_failed_is_withdrawn(stage: Stage) -> None:
    """Claims that Redis answers late do not go out together to a vendor that refuses this worker."""
    answer: list[Any] = [redis.ConnectionError("away")]
    stage.receive("a")
    stage.settle()
    stage.store.claim = lambda request: answer[0] or claim_of(request)
    stage.receive("b", "c")
    stage.settle()
    stage.network.answer("a", AUTH_ERROR)
    stage.settle()
    answer[0] = None
    stage.clock.now += 10
    stage.around.flow_control.close(MISCONFIGURED, 60)
    stage.settle()
    assert stage.network.in_flight == 0
    assert {each.job_id for each in stage.store.told_of(Withdrawal)} == {"b", "c"}
    assert [stage.ended(job) for job in "bc"] == [Disposition.REQUEUE] * 2
    assert stage.pipeline.idle


def test_what_is_claimed_is_not_given_back_while_the_worker_lives(stage: Stage) -> None:
    """A claim that may stand would keep the job from all others until this worker leaves."""
    refused = redis.ResponseError("OOM")
    stage.receive("a")
    stage.settle()
    stage.store.claim = lambda request: refused
    stage.receive("b")
    stage.settle()
    stage.around.first_attempt._go_one_by_one()
    stage.around.flow_control.close(MISCONFIGURED, 60)
    stage.receive("c")
    stage.settle()
    assert [stage.ended(job) for job in "bc"] == [None, Disposition.REQUEUE]


@pytest.mark.parametrize(
    ("verdict", "disposition", "reasons"),
    [
        (ClaimVerdict.SETTLED, Disposition.ACKNOWLEDGE, []),
        (ClaimVerdict.DELAYED, Disposition.ACKNOWLEDGE, []),
        (ClaimVerdict.BREAKER, Disposition.REQUEUE, [BREAKER]),
        (ClaimVerdict.REFUSING, Disposition.REQUEUE, [REFUSING]),
        (ClaimVerdict.PAUSED, Disposition.REQUEUE, [PAUSED]),
    ],
)
def test_what_a_denied_claim_means_for_the_message(
    stage: Stage, verdict: ClaimVerdict, disposition: Disposition, reasons: list[str]
) -> None:
    """Nothing is written, nothing sent, and the connection is there for the next job."""
    stage.store.claim = denied(verdict, wait_s=3.0)
    stage.receive("a")
    stage.settle()
    assert (stage.ended("a"), stage.around.flow_control.reasons()) == (disposition, reasons)
    assert (stage.network.in_flight, stage.store.told, stage.network.links) == (0, [], [LINK])
    assert stage.pipeline.idle


def test_a_job_whose_slot_is_yet_to_come_waits_for_it(stage: Stage) -> None:
    """It holds no connection meanwhile, and is claimed again when its time comes."""
    stage.store.claim = denied(ClaimVerdict.WAIT, wait_s=1.5)
    stage.receive("a")
    stage.settle()
    assert (stage.sleeps_s, stage.network.links, stage.pipeline.idle) == (1.5, [LINK], False)
    stage.store.claim = claim_of
    stage.clock.now += 1.5
    stage.settle()
    assert stage.network.sent == ["a"]


def test_a_paused_workflow_lets_others_pass(stage: Stage) -> None:
    """Its job is put aside in Redis."""
    stage.store.claim = denied(ClaimVerdict.BACKLOG)
    stage.receive("a")
    stage.settle()
    (aside,) = stage.store.told
    assert isinstance(aside, ToBacklog)
    assert (aside.workflow, stage.ended("a")) == ("TEXT2IMAGE", Disposition.DEFERRED)


def test_a_worker_declared_dead_takes_a_new_name(stage: Stage) -> None:
    """And claims again."""
    answers = [ClaimVerdict.GO, ClaimVerdict.FENCED]
    stage.store.claim = lambda request: claim_of(request, answers.pop())
    stage.receive("a")
    stage.settle()
    assert (stage.rejoined, stage.network.sent) == ([OWNER], ["a"])


def test_a_name_that_cannot_be_taken_harms_no_other_job(stage: Stage) -> None:
    """The job waits for a while; nothing goes round."""
    stage.around = dataclasses.replace(stage.around, rejoin=away)
    stage.pipeline._around = stage.around
    verdicts = {"a": ClaimVerdict.FENCED}
    stage.store.claim = lambda request: claim_of(request, verdicts.get(request.job.id, ClaimVerdict.GO))
    stage.receive("a", "b")
    stage.settle()
    assert (stage.network.sent, stage.ended("a")) == (["b"], Disposition.DEFERRED)


def away(*_: Any) -> Any:
    raise redis.ConnectionError("away")


def not_allowed(*_: Any) -> Any:
    raise redis.exceptions.NoPermissionError("HGETALL")


# another delivery, a dead worker's job


def test_a_job_that_another_delivery_works_on_is_looked_at_later(stage: Stage) -> None:
    """Its message waits in Redis meanwhile."""
    stage.store.claim = denied(ClaimVerdict.BUSY)
    stage.receive("a")
    stage.settle()
    (postponed,) = stage.store.told
    assert isinstance(postponed, Postponement)
    assert (postponed.delay_s, stage.ended("a")) == (BUSY_LOOK_S, Disposition.DEFERRED)


def test_a_claim_of_its_own_that_was_given_up_is_withdrawn_by_the_name_that_claims(stage: Stage) -> None:
    """Not by the message's holder: in a prefork child that is its parent, and nothing would be withdrawn,
    round and round."""
    stage.store.own["a"] = "f" * 32

    def claim(request: ClaimRequest) -> Claim:
        stands = "a" in stage.store.own
        return dataclasses.replace(
            claim_of(request, ClaimVerdict.BUSY if stands else ClaimVerdict.GO), owner="child"
        )

    def decide(decision: Decision) -> WriteReply:
        if isinstance(decision, Withdrawal) and decision.owner == "child":
            stage.store.own.pop(decision.job_id)
        return settles(decision)

    stage.store.claim, stage.store.decide = claim, decide
    stage.receive("a")
    stage.settle()
    assert stage.network.sent == ["a"]


def test_a_claim_of_its_own_under_which_something_may_have_been_sent_stands(stage: Stage) -> None:
    """The in-flight log knows of it: the job is looked at later."""
    request_id = "4c1f4c39-6b4d-4a3c-8a45-000000000000"
    stage.around.inflight.sent(request_id)
    stage.store.own["a"] = request_id
    stage.store.claim = denied(ClaimVerdict.BUSY)
    stage.receive("a")
    stage.settle()
    assert isinstance(stage.store.told[0], Postponement)


def test_of_two_deliveries_in_hand_one_is_sent(stage: Stage) -> None:
    """The other one is looked at later, and does not take the first one's claim for a forgotten one."""
    verdicts = [ClaimVerdict.BUSY, ClaimVerdict.GO]
    stage.store.own["a"] = "f" * 32
    stage.store.claim = lambda request: claim_of(request, verdicts.pop())
    stage.receive("a", "a")
    stage.settle()
    assert (stage.network.sent, len(stage.store.told)) == (["a"], 1)
    assert isinstance(stage.store.told[0], Postponement)


def test_a_dead_workers_job_ends_as_unknown(stage: Stage) -> None:
    """With the request id of the attempt that may have been taken."""
    stage.store.claim = denied(ClaimVerdict.ORPHAN, attempts=1)
    stage.store.last = lambda _: "its-last"
    stage.receive("a")
    stage.settle()
    (settlement,) = stage.store.told
    assert (settlement.result.status, settlement.result.request_id) == ("unknown", "its-last")
    assert (stage.ended("a"), stage.network.in_flight) == (Disposition.SETTLED, 0)


def test_a_dead_workers_job_without_a_request_id(stage: Stage) -> None:
    """Nothing is made up."""
    stage.store.claim = denied(ClaimVerdict.ORPHAN, attempts=1)
    stage.receive("a")
    stage.settle()
    assert stage.store.told[0].result.request_id is None


# between the claim and the first byte


def test_a_job_that_expired_is_not_sent(stage: Stage) -> None:
    """Its claim is withdrawn, and it ends."""
    stage.pipeline.receive(stage.run("a", expires_s=1.0))
    stage.settle()
    withdrawal, settlement = stage.store.told
    assert isinstance(withdrawal, Withdrawal)
    assert withdrawal.request_id == stage.store.asked[0].request_id
    assert (settlement.result.status, settlement.result.error_code) == ("exhausted", "AIGC_DEADLINE_EXCEEDED")
    assert (stage.network.links, stage.ended("a")) == ([LINK], Disposition.SETTLED)


@pytest.mark.parametrize(("unresolved", "status"), [(False, "cancelled"), (True, "unknown")])
def test_a_job_that_was_cancelled_is_not_sent(stage: Stage, unresolved: bool, status: str) -> None:
    """It ends so, with the last attempt there was; where that one is in doubt, so is the job."""
    stage.store.claim = lambda request: claim_of(
        request, ClaimVerdict.CANCELLED, attempts=1, unresolved=unresolved
    )
    stage.store.last = lambda _: "an-attempt"
    stage.receive("a")
    stage.settle()
    (settlement,) = stage.store.told
    result = settlement.result
    assert (result.status, result.error_code) == (status, "AIGC_CANCELLED")
    assert (result.attempts, result.request_id, settlement.claim) == (1, "an-attempt", None)
    assert (stage.network.sent, stage.ended("a")) == ([], Disposition.SETTLED)


def test_a_fault_in_what_follows_a_write_harms_no_other_job(stage: Stage) -> None:
    """Redis does not let the last request id be read: the one job waits, the other goes."""
    stage.store.last = not_allowed
    stage.pipeline.receive(stage.run("a", expires_s=1.0))
    stage.receive("b")
    stage.settle()
    assert stage.network.sent == ["b"]
    assert isinstance(stage.store.told[-1], Postponement)
    assert stage.ended("a") is Disposition.DEFERRED


def test_a_claim_that_was_answered_too_late_is_withdrawn_and_asked_anew(stage: Stage) -> None:
    """A worker that was frozen in between might have been declared dead."""

    def late(request: ClaimRequest) -> Claim:
        stage.clock.now += steps.START_WITHIN_S + 1
        stage.store.claim = claim_of
        return claim_of(request)

    stage.store.claim = late
    stage.receive("a")
    stage.settle()
    first, second = stage.store.asked
    assert first.request_id != second.request_id
    assert [each.request_id for each in stage.store.told_of(Withdrawal)] == [first.request_id]
    assert stage.network.sent == ["a"]


@pytest.mark.parametrize("there_is_another", [True, False])
def test_a_connection_is_looked_at_again_after_its_claim(stage: Stage, there_is_another: bool) -> None:
    """What came on it meanwhile is no answer; where no other is open, the claim is withdrawn until one is."""

    def slow(request: ClaimRequest) -> Claim:
        stage.network.usable = False
        stage.store.claim = claim_of
        stage.network.return_link = lambda link: None  # type: ignore[method-assign]
        stage.network.links = [LINK] if there_is_another else []
        return claim_of(request)

    stage.store.claim = slow
    stage.receive("a")
    stage.settle()
    assert stage.network.sent == ["a"]
    assert len(stage.store.told_of(Withdrawal)) == (0 if there_is_another else 1)


def test_nothing_is_sent_after_the_goodbye(stage: Stage) -> None:
    """The job goes back unharmed."""
    stage.around.inflight.forbid()
    stage.receive("a")
    stage.settle()
    assert isinstance(stage.store.told[0], Withdrawal)
    assert (stage.ended("a"), stage.network.in_flight) == (Disposition.REQUEUE, 0)


# what Redis says to a settlement


def test_a_late_acceptance_is_told_all_the_same(stage: Stage) -> None:
    """As a possible duplicate; until then the attempt stays in the in-flight log."""

    def decide(decision: Decision) -> WriteReply:
        late = isinstance(decision, Settlement) and not decision.late
        return WriteReply("late") if late else settles(decision)

    stage.store.decide = decide
    stage.receive("a")
    stage.settle()
    stage.network.answer("a")
    stage.settle()
    first, second = stage.store.told
    assert (first.late, second.late, second.result.possible_duplicate) == (False, True, True)
    assert stage.ended("a") is Disposition.SETTLED
    assert not stage.around.inflight.known().answered


def test_a_bad_message_of_a_job_in_doubt_has_it_held(stage: Stage) -> None:
    """With its attempts so far, the last one's request id, and the reason why it is not sent."""

    def decide(decision: Decision) -> WriteReply:
        rejected = isinstance(decision, Settlement) and decision.result.status == "rejected"
        return WriteReply("in-doubt") if rejected else settles(decision)

    stage.store.decide = decide
    stage.store.records["a"] = {"attempts": 2, "request_ids": ["first", "last"]}
    stage.receive(InvalidJob("a", "a bad one"))
    stage.settle()
    told = stage.store.told[-1].result
    assert (told.status, told.attempts, told.request_id) == ("unknown", 2, "last")
    assert (told.possible_duplicate, told.error_msg) == (True, "a bad one")
    assert stage.ended("a") is Disposition.SETTLED


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("stale", []),
        ("already", []),
        ("paid-twice", [("paid twice", "a")]),
        ("settled", [("ended", "a")]),
    ],
)
def test_who_is_told_of_what_redis_says(stage: Stage, verdict: str, told: list[Any]) -> None:
    """What is no news is not told; money that is gone is."""
    stage.store.decide = lambda _: WriteReply(verdict)
    stage.receive("a")
    stage.settle()
    stage.network.answer("a")
    stage.settle()
    assert (stage.reporter.told, stage.ended("a")) == (told, Disposition.SETTLED)


def test_a_failed_attempt_waits_for_the_next_one(stage: Stage) -> None:
    """It is told, with what follows."""
    stage.receive("a")
    stage.settle()
    stage.network.answer("a", SYS_ERROR)
    stage.settle()
    (reschedule,) = stage.store.told
    assert isinstance(reschedule, Reschedule)
    assert (reschedule.attempts, stage.ended("a")) == (1, Disposition.DEFERRED)
    assert stage.reporter.told == [("attempt failed", "a")]


def test_the_beginning_of_an_answer_that_nobody_understands_is_kept_without_secrets(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator may find a task id in it."""
    monkeypatch.setattr(stage.reporter, "redacted", lambda text: f"redacted {text}")
    stage.receive("a")
    stage.settle()
    stage.network.answer("a", dataclasses.replace(ACCEPTED, body=b'{"success":true,"model":17}'))
    stage.settle()
    assert stage.store.told[0].answer.startswith("redacted ")


@pytest.mark.parametrize("what", ["attempt failed", "ended"])
def test_what_cannot_be_told_is_written_down_all_the_same(stage: Stage, what: str) -> None:
    """The outcome was paid for, whoever hears of it."""
    stage.reporter.fails = {what}
    stage.receive("a")
    stage.settle()
    stage.network.answer("a", SYS_ERROR if what == "attempt failed" else ACCEPTED)
    stage.settle()
    assert [type(each) for each in stage.store.told] in ([Reschedule], [Settlement])
    assert stage.ended("a") in (Disposition.DEFERRED, Disposition.SETTLED)


def test_a_fault_that_cannot_be_told_harms_no_other_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both answers came together, and the second one was paid for."""
    decide = steps.decide_attempt

    def broken(attempt: Any, *rest: Any) -> Any:
        return 1 / 0 if attempt.prepared.job.id == "a" else decide(attempt, *rest)

    monkeypatch.setattr(steps, "decide_attempt", broken)
    stage.reporter.fails = {"crashed"}
    stage.receive("a", "b")
    stage.settle()
    stage.network.answer("a")
    stage.network.answer("b")
    stage.settle()
    assert (stage.ended("a"), stage.ended("b")) == (Disposition.DEFERRED, Disposition.SETTLED)
    assert len(stage.around.inflight.known().sent) == 1, "the one is decided about when this process ends"


def test_a_worker_that_alone_does_not_reach_the_vendor_says_so(stage: Stage) -> None:
    """And goes on one job at a time."""
    stage.store.decide = lambda decision: WriteReply(settles(decision).verdict, OtherWorkers.SUCCEED)
    stage.receive(*"abc")
    stage.settle()
    for job in "abc":
        stage.network.answer(job, LOST)
    stage.settle()
    assert ("unreachable", "") in stage.reporter.told
    assert UNREACHABLE in stage.around.flow_control.reasons()
    assert not stage.around.first_attempt.proven
