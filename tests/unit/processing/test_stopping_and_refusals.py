"""The pipeline while Redis is away or refuses, while all shared slots are taken, and while it is stopping."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.unit.processing.fakes import SYS_ERROR, Stage, claim_of, settles
from worker.domain.outcome import Failure, Reply
from worker.processing.admission import FULL_LOOK_S
from worker.processing.in_hand import POSTPONE_S
from worker.processing.values import Disposition, Run
from worker.processing.writes import LOOK_S, REFUSED_S
from worker.store.jobs import ClaimRequest
from worker.store.redis_wait import StoreClosed
from worker.store.values import (
    Acknowledgement,
    Claim,
    ClaimVerdict,
    Decision,
    Postponement,
    Reschedule,
    Settlement,
    Withdrawal,
    WriteReply,
)

AWAY = redis.ConnectionError("away")
OOM = redis.ResponseError("OOM command not allowed")
THROTTLED = Reply(429, b"")


def refuses(*kinds: type) -> Callable[[Decision], WriteReply | Exception]:
    """A Redis that refuses such decisions."""
    return lambda decision: OOM if isinstance(decision, kinds) else settles(decision)


class Full:
    """A Redis of which so many shared slots are free."""

    def __init__(self, free: int = 0) -> None:
        self.free = free

    def __call__(self, request: ClaimRequest) -> Claim:
        if not self.free:
            return claim_of(request, ClaimVerdict.FULL)
        self.free -= 1
        return claim_of(request)

    def settles(self, decision: Decision) -> WriteReply:
        if isinstance(decision, Settlement | Reschedule) and decision.claim:
            self.free += 1
        return settles(decision)


# all shared slots are taken


def test_who_found_all_slots_taken_does_not_poll(stage: Stage) -> None:
    """One claim now and then, and one when the watcher says that a slot is free."""
    stage.store.claim = Full()
    stage.receive("a", "b", "c")
    stage.settle()
    assert (len(stage.store.asked), stage.slots.armed, stage.sleeps_s) == (3, True, FULL_LOOK_S)
    for _ in range(5):
        stage.settle()
    assert len(stage.store.asked) == 3
    stage.pipeline.admission.slot_may_be_free()
    stage.settle()
    assert len(stage.store.asked) == 4
    for _ in range(3):
        stage.clock.now += FULL_LOOK_S
        stage.settle()
    assert len(stage.store.asked) == 7


def test_a_slot_that_this_worker_frees_is_asked_for_at_once(stage: Stage) -> None:
    """By one job, in the round trip that settles the other one."""
    stage.store.claim = full = Full(free=1)
    stage.store.decide = full.settles
    stage.receive("a", "b", "c")
    stage.settle()
    assert stage.network.sent == ["a"]
    asked, rounds = len(stage.store.asked), stage.store.rounds
    stage.network.answer("a")
    stage.settle()
    assert len(stage.network.sent) == 1
    assert len(stage.store.asked) == asked + 2, "one that got the slot, and one more that found none left"
    assert stage.store.rounds == rounds + 2


def test_nobody_is_told_of_slots_for_which_nobody_waits(stage: Stage) -> None:
    """The watcher rests once the last one has left."""
    stage.store.claim = Full(free=1)
    stage.receive("a", "b")
    stage.settle()
    assert stage.slots.armed
    stage.pipeline.stopping = True
    stage.settle()
    assert not stage.slots.armed


def test_a_job_that_takes_no_slot_leaves_it_to_the_next_one(stage: Stage) -> None:
    """A queue of jobs that have ended already is not gone through at one a second."""
    full = Full()
    stage.store.claim = full
    stage.receive(*"abcdef")
    stage.settle()
    ended = set("abcde")

    def claim(request: ClaimRequest) -> Claim:
        return claim_of(request, ClaimVerdict.SETTLED) if request.job.id in ended else full(request)

    stage.store.claim = claim
    stage.pipeline.admission.slot_may_be_free()
    stage.settle()
    stage.pipeline.admission.slot_may_be_free()
    stage.settle()
    assert [stage.ended(job) for job in "abcde"] == [Disposition.ACKNOWLEDGE] * 5


def test_a_watcher_that_cannot_start_leaves_no_job_in_two_places(stage: Stage) -> None:
    """The job waits in Redis, and is not asked for here besides."""
    stage.slots.arm = lambda: 1 / 0  # type: ignore[assignment,method-assign]
    stage.store.claim = Full()
    stage.receive("a")
    stage.settle()
    stage.clock.now += FULL_LOOK_S
    stage.settle()
    assert (len(stage.store.asked), stage.ended("a")) == (1, Disposition.DEFERRED)
    assert stage.pipeline.idle


# Redis refuses to settle, or is away


def test_a_refused_settling_stops_all_sending(stage: Stage) -> None:
    """Claims that are answered meanwhile are asked again under the same request id, once it is settled."""
    stage.receive("a")
    stage.settle()
    stage.store.decide = refuses(Settlement)
    stage.network.answer("a")
    stage.pipeline.wait()
    stage.network.links.append(stage.network.links[0])
    stage.receive("b")
    stage.settle()
    assert (stage.network.sent, len(stage.store.asked)) == ([], 2), "the claim was granted, and not used"
    assert not stage.around.guard.is_open
    for _ in range(4):
        stage.clock.now += 0.5
        stage.receive("c")
        stage.settle()
    assert stage.network.sent == []
    assert {each.request_id for each in stage.store.asked[1:]} == {stage.store.asked[1].request_id}
    stage.store.decide = settles
    stage.clock.now += 0.5
    stage.settle()
    assert (stage.ended("a"), stage.around.guard.is_open) == (Disposition.SETTLED, True)
    assert stage.network.sent[0] == "b"
    assert len(stage.network.sent) == 5


def test_who_waits_for_a_settling_does_not_go_round(stage: Stage) -> None:
    """Though the claims are answered all the time."""
    stage.receive("a")
    stage.settle()
    stage.store.decide = refuses(Settlement)
    stage.network.answer("a")
    stage.pipeline.wait()
    stage.network.links.append(stage.network.links[0])
    stage.receive("b")
    assert stage.settle() <= 3
    assert 0 < stage.sleeps_s <= 0.5
    stage.around.guard.refused("another", "no")
    stage.store.decide = settles
    stage.clock.now += 0.5
    stage.settle()
    assert stage.sleeps_s == LOOK_S


@pytest.mark.parametrize("error", [AWAY, TimeoutError("timed out")])
def test_while_redis_is_away_nothing_new_is_claimed(stage: Stage, error: Exception) -> None:
    """What was asked is asked again under its request id, at times that are far between."""
    stage.store.claim = lambda _: error
    stage.receive("a", "b")
    stage.settle()
    stage.receive("c")
    stage.settle()
    assert {each.job.id for each in stage.store.asked} == {"a", "b"}
    assert stage.sleeps_s == 0.5
    stage.store.claim = claim_of
    stage.clock.now += 0.5
    stage.settle()
    assert len({each.request_id for each in stage.store.asked}) == 3
    assert stage.network.sent == ["a", "b", "c"]


def test_a_job_that_redis_refuses_to_claim_waits_while_others_go_on(stage: Stage) -> None:
    """After a while it is this job's own trouble, and is put off."""
    stage.store.claim = lambda request: OOM if request.job.id == "a" else claim_of(request)
    stage.receive("a", "b")
    stage.settle()
    assert (stage.network.sent, stage.ended("a")) == (["b"], None)
    stage.clock.now += REFUSED_S
    stage.settle()
    (postponed,) = stage.store.told
    assert isinstance(postponed, Postponement)
    assert (postponed.delay_s, stage.ended("a")) == (POSTPONE_S, Disposition.DEFERRED)


def test_a_job_that_cannot_even_wait_is_left_where_it_is(stage: Stage) -> None:
    """Redis refuses to put it off as well: its message stays, and others go on."""
    stage.store.claim = lambda request: OOM if request.job.id == "a" else claim_of(request)
    stage.store.decide = refuses(Postponement)
    stage.receive("a", "b")
    for _ in range(3):
        stage.settle()
        stage.clock.now += REFUSED_S
    stage.settle()
    assert (stage.network.sent, stage.ended("a")) == (["b"], Disposition.STUCK)
    stage.network.answer("b")
    stage.settle()
    assert stage.pipeline.idle


def test_as_long_as_redis_may_refuse_others_nobody_is_put_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be all jobs' trouble, which ends with the refusal."""
    monkeypatch.setattr(stage.around.guard, "allows_taking", lambda: False)
    stage.store.claim = lambda _: OOM
    stage.receive("a")
    for _ in range(4):
        stage.settle()
        stage.clock.now += REFUSED_S
    assert (stage.store.told, stage.ended("a")) == ([], None)


def test_whom_redis_refuses_cannot_be_found_out_while_it_is_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again."""

    def away() -> bool:
        raise AWAY

    monkeypatch.setattr(stage.around.guard, "allows_taking", away)
    stage.store.claim = lambda _: OOM
    stage.receive("a")
    stage.settle()
    stage.clock.now += REFUSED_S
    stage.settle()
    assert stage.ended("a") is None


def test_that_all_are_to_slow_down_is_said_once(stage: Stage) -> None:
    """Each time again they would slow down further."""
    stage.receive("a")
    stage.settle()
    stage.store.decide = refuses(Reschedule)
    stage.network.answer("a", THROTTLED)
    stage.settle()
    stage.store.decide = settles
    stage.clock.now += 0.5
    stage.settle()
    assert [each.throttled_s for each in stage.store.told] == [0.0, None]
    assert stage.ended("a") is Disposition.DEFERRED


def test_what_is_about_a_message_is_written_as_often_as_it_takes(stage: Stage) -> None:
    """It is no job's, and is never put off."""
    done: list[bool] = []
    stage.store.decide = refuses(Acknowledgement)
    stage.pipeline.write(Acknowledgement("me", "1.7"), lambda: done.append(True))
    for _ in range(3):
        stage.settle()
        stage.clock.now += REFUSED_S
    assert not done
    stage.store.decide = settles
    stage.settle()
    assert done == [True]


def test_a_withdrawal_that_redis_refuses_for_long_is_asked_for_until_it_is_done(stage: Stage) -> None:
    """The claim stands meanwhile: the job goes back once it does not."""
    stage.around.inflight.forbid()
    allowed, stage.store.decide = stage.store.decide, refuses(Withdrawal)
    stage.receive("a")
    stage.settle()
    stage.clock.now += 10 * REFUSED_S
    stage.settle()
    assert {type(told) for told in stage.store.told} == {Withdrawal}
    stage.store.decide = allowed
    stage.clock.now += 10 * REFUSED_S
    stage.settle()
    assert stage.ended("a") is Disposition.REQUEUE


# stopping


def test_a_stopping_worker_gives_back_what_is_not_sent(stage: Stage) -> None:
    """In the order in which it came, and finishes what is in flight."""
    order: list[str] = []
    stage.network.opens = None
    stage.network.links = [object()]  # type: ignore[list-item]
    stage.receive("a", "b", "c")
    stage.settle()
    stage.store.claim = lambda request: claim_of(request, ClaimVerdict.WAIT, wait_s=9.0)
    stage.network.links = [object()]  # type: ignore[list-item]
    stage.settle()
    stage.pipeline.stopping = True
    finish = stage.pipeline._jobs.finish

    def noted(run: Run, disposition: Disposition) -> None:
        order.append(run.job.id)
        finish(run, disposition)

    stage.pipeline._jobs.finish = noted  # type: ignore[method-assign]
    stage.settle()
    assert (order, stage.ended("a")) == (["b", "c"], None)
    stage.network.answer("a")
    stage.settle()
    assert (stage.ended("a"), stage.pipeline.idle) == (Disposition.SETTLED, True)


def test_a_stopping_worker_does_not_wait_for_connections_to_give_back(stage: Stage) -> None:
    """What a withdrawn claim leaves behind goes back though a helper is still connecting."""

    def late(request: ClaimRequest) -> Claim:
        stage.clock.now += 60
        return claim_of(request)

    stage.store.claim = late
    stage.receive("a")
    stage.pipeline.advance()
    stage.pipeline.advance()
    stage.network.connecting = 1
    stage.pipeline.stopping = True
    stage.settle()
    assert isinstance(stage.store.told[0], Withdrawal)
    assert (stage.ended("a"), stage.pipeline.idle) == (Disposition.REQUEUE, True)


def test_claims_that_are_not_answered_do_not_keep_a_worker_from_stopping(stage: Stage) -> None:
    """They may stand, and are taken back when it leaves."""
    stage.store.claim = lambda _: AWAY
    stage.receive("a", "b")
    stage.settle()
    stage.pipeline.stopping = True
    stage.settle()
    assert [stage.ended(job) for job in "ab"] == [Disposition.REQUEUE] * 2
    assert stage.pipeline.idle
    assert stage.sleeps_s == float("inf")


def test_a_stopping_worker_does_not_spin_while_redis_is_away(stage: Stage) -> None:
    """It ends when it may wait no longer, and notes the answers that still come in its in-flight log."""
    stage.receive("a", "b", "c")
    stage.settle()
    stage.store.decide = lambda _: AWAY
    stage.network.answer("a", SYS_ERROR)
    stage.pipeline.stopping = True
    for _ in range(5):
        assert stage.settle() <= 3
        stage.clock.now += stage.sleeps_s
    stage.store.given_up = True
    with pytest.raises(StoreClosed):
        stage.settle()
    left = ["b", "c"]
    wait, stage.network.timeouts = stage.network.wait, []

    def answering(timeout_s: float) -> Any:
        if timeout_s > 0 and left:
            stage.network.answer(left.pop())
        return wait(timeout_s)

    stage.network.wait = answering  # type: ignore[method-assign]
    stage.pipeline.note_answers()
    assert len(stage.network.timeouts) == 2, "it sleeps until an answer comes"
    known = stage.around.inflight.known()
    assert len(known.answered) == 2
    assert {json.loads(each)["jobId"] for each in known.answered.values()} == {"b", "c"}


def test_answers_that_cannot_be_heard_do_not_keep_it_from_ending(stage: Stage) -> None:
    """What fails each time is given up."""
    stage.receive("a")
    stage.settle()
    stage.network.fault = OSError("poll")
    stage.pipeline.note_answers()
    assert stage.network.sent == ["a"]


def test_hearing_goes_on_after_a_fault_as_long_as_answers_come(stage: Stage) -> None:
    """One fault is not taken for the end."""
    stage.receive("a", "b")
    stage.settle()
    wait = stage.network.wait

    def faulty(timeout_s: float) -> Any:
        if len(stage.network.sent) == 2:
            stage.network.out.pop()
            raise OSError("one")
        stage.network.answer("a")
        return wait(timeout_s)

    stage.network.wait = faulty  # type: ignore[method-assign]
    stage.pipeline.note_answers()
    assert len(stage.around.inflight.known().answered) == 1


def test_what_was_decided_is_written_down_after_a_fault(stage: Stage) -> None:
    """As often as it takes, though no job goes on."""
    stage.receive("a", "b")
    stage.settle()
    stage.network.answer("a")
    stage.network.answer("b", Failure(sent=True, detail="lost"))
    stage.pipeline.note_answers()
    tries: list[Decision] = []

    def at_last(decision: Decision) -> WriteReply | Exception:
        tries.append(decision)
        return settles(decision) if len(tries) > 4 else AWAY

    stage.store.decide = at_last
    stage.pipeline.write_rest()
    assert [stage.ended(job) for job in "ab"] == [Disposition.SETTLED] * 2
    assert (len(tries), stage.pipeline.idle) == (6, True)
