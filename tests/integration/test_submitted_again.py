"""A job's id that comes again: submitted anew after its end, or an old message; never bought twice."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tasks.contract import Status
from tasks.envelope import Job, encode, encode_batch
from tests.conditions import until
from tests.integration.desk import Desk
from tests.integration.journal import JournalWorker
from tests.integration.stage import CAT, Stage, faulty, logged, staged, text
from tests.redis_server import RedisServer
from worker.domain.outcome import Outcome, OutcomeKind
from worker.domain.result import result_of
from worker.processing import steps
from worker.store.keys import KeyNames
from worker.store.record import ENDED_STATES, FIELDS, STATE_OF
from worker.store.stats import stats
from worker.store.values import Claim, ClaimVerdict, Delivery, Feedback, Reschedule, Settlement

KEYS = KeyNames("aigc", "aigc:results")
ID = "a-job"
WITHOUT_PURCHASE: tuple[Status, ...] = ("rejected", "exhausted")
ATTEMPTED = Feedback(counted=True, vendor_works=None)
INVALID = {"workflow": "TEXT2IMAGE", "version": "1.0.0", "algoInput": {"inputText": "a cat"}}


class Worker(JournalWorker):
    """One worker, and the messages of one job."""

    def now_ms(self) -> int:
        second, micros = self.redis.time()
        return int(second * 1000 + micros // 1000)

    def message(self, stamp: int | None, payload: dict[str, Any] = CAT) -> tuple[Job, Delivery]:
        """A message with this stamp, in hand."""
        job, tag = Job(ID, payload, {"row": stamp}, enqueued_ms=stamp), f"1.{uuid.uuid4().int}"
        self.redis.hset(KEYS.unacked(self.registry.owner), tag, encode(job, KEYS.queue))
        return job, Delivery(self.registry.owner, tag, 1)

    def later(self, ahead_ms: int = 0) -> int:
        """A stamp of after whatever has happened so far."""
        now = self.now_ms()
        until(lambda: self.now_ms() > now, "the next millisecond")
        return self.now_ms() + ahead_ms

    def ends(self, status: Status, stamp: int | None, claim: Claim | None = None, **told: Any) -> str:
        """The job ends so, by a message with this stamp; the verdict."""
        job, delivery = self.message(stamp)
        claim = claim or self.claim(job)
        outcome = Outcome(OutcomeKind.REJECTED, task_id="task-1" if status == "submitted" else None)
        result = result_of(job, status, outcome, claim.attempts + 1, claim.request_id, False, 1.0)
        return self.job_store.settle(
            Settlement(job, delivery, claim, result, OutcomeKind.REJECTED, ATTEMPTED, **told)
        )

    def refuses(self, stamp: int | None) -> str:
        """A message of the job is found invalid before any claim; the verdict."""
        job, delivery = self.message(stamp, INVALID)
        settlement = steps.validate(job, delivery, 1.0)
        assert isinstance(settlement, Settlement)
        return self.job_store.settle(settlement)

    def republish(self, claim: Claim, stamp: int) -> str:
        job, delivery = self.message(stamp)
        assert claim.past is not None
        return self.job_store.store.write_one(steps.republish(job, delivery, claim.past)).verdict

    def claims(self, stamp: int | None) -> Claim:
        return self.claim(Job(ID, CAT, enqueued_ms=stamp))

    def field(self, name: str) -> str | None:
        value = self.redis.hget(KEYS.job(ID), FIELDS[name].stored)
        return None if value is None else value.decode()

    def told(self) -> list[str]:
        entries = self.redis.xrange(KEYS.results)
        return [json.loads(fields[b"result"])["status"] for _, fields in entries]

    def held(self) -> int:
        return int(self.redis.hlen(KEYS.unacked(self.registry.owner)))

    def repeats(self) -> dict[str, int]:
        found: dict[str, int] = stats(self.scripts, KEYS)["repeats"]
        return found


@pytest.fixture
def worker(redis_server: RedisServer) -> Iterator[Worker]:
    made = Worker(redis_server)
    yield made
    made.scripts.close()


@pytest.mark.parametrize("status", WITHOUT_PURCHASE)
def test_what_ended_without_a_purchase_runs_again(worker: Worker, status: Status) -> None:
    """With all its attempts before it and its past kept; it is no dead letter any more, nor expires."""
    worker.ends(status, worker.now_ms())
    stamp = worker.later()
    claim = worker.claims(stamp)
    assert (claim.verdict, claim.attempts, claim.excused) == (ClaimVerdict.GO, 1, 1)
    assert claim.age_s < 60
    assert (claim.past and claim.past.state, claim.unresolved) == (status, False)
    assert worker.redis.zcard(KEYS.dead_letters(status)) == worker.redis.hlen(KEYS.dead_letter_messages) == 0
    assert worker.redis.ttl(KEYS.job(ID)) == -1
    assert worker.ends("submitted", stamp, claim) == "settled"
    assert worker.told() == [status, "submitted"]
    assert worker.repeats() == {"run_again": 1, "republished": 0, "ignored": 0}


@pytest.mark.parametrize("status", [*WITHOUT_PURCHASE, "submitted", "unknown"])
def test_a_redelivery_of_the_old_message_is_harmless(worker: Worker, status: Status) -> None:
    """The same stamp is the same message: nothing is sent, published, counted or said."""
    stamp = worker.now_ms()
    worker.ends(status, stamp)
    claim = worker.claims(stamp)
    assert (claim.verdict, claim.past) == (ClaimVerdict.SETTLED, None)
    assert worker.refuses(stamp) == "already"
    assert worker.told() == [status]
    assert worker.repeats() == {"run_again": 0, "republished": 0, "ignored": 0}


@pytest.mark.parametrize("status", [*WITHOUT_PURCHASE, "submitted", "unknown"])
@pytest.mark.parametrize("ahead_ms", [5_000, 300_000, 10**12])
def test_a_clock_ahead_of_redis_makes_no_redelivery_a_submission(
    worker: Worker, status: Status, ahead_ms: int
) -> None:
    """The old message is stamped later than its job's end, and is the old message all the same."""
    stamp = worker.now_ms() + ahead_ms
    worker.ends(status, stamp)
    assert worker.claims(stamp).verdict is ClaimVerdict.SETTLED
    worker.refuses(stamp)
    assert worker.told() == [status]


@pytest.mark.parametrize("status", [*WITHOUT_PURCHASE, "submitted", "unknown"])
def test_what_was_sent_twice_before_the_end_is_one_job(worker: Worker, status: Status) -> None:
    """A producer that lost the reply sends again, with a later stamp; that is counted and said."""
    first = worker.now_ms()
    second = worker.later()
    worker.later()
    worker.ends(status, first)
    claim = worker.claims(second)
    assert (claim.verdict, claim.past and claim.past.state) == (
        ClaimVerdict.SETTLED,
        STATE_OF[status],
    )
    assert worker.refuses(second) == "ignored"
    assert worker.told() == [status]
    assert worker.repeats()["ignored"] == 2


@pytest.mark.parametrize("stamp", [None, 0, 1_700_000_000], ids=["none", "zero", "seconds"])
def test_without_a_stamp_of_after_its_end_a_job_is_not_run_again(worker: Worker, stamp: int | None) -> None:
    """Of a plain Celery client a message cannot be told from a redelivery: that is said."""
    worker.ends("rejected", worker.now_ms())
    claim = worker.claims(stamp)
    assert (claim.verdict, claim.past and claim.past.state) == (ClaimVerdict.SETTLED, "rejected")
    assert worker.refuses(stamp) == "ignored"
    assert (worker.told(), worker.repeats()["ignored"]) == (["rejected"], 2)


def test_a_stamp_far_ahead_of_redis_is_not_believed(worker: Worker) -> None:
    """It cannot be told what was before it and what after."""
    worker.ends("rejected", worker.now_ms())
    assert worker.claims(worker.later(120_000)).verdict is ClaimVerdict.SETTLED
    assert worker.claims(worker.later(10**15)).verdict is ClaimVerdict.SETTLED
    assert worker.claims(worker.later(2_000)).verdict is ClaimVerdict.GO


def test_an_old_message_does_not_run_beside_a_new_one(worker: Worker) -> None:
    """While the job runs again, messages of before are dropped: their payload may be another."""
    old = worker.now_ms()
    worker.ends("rejected", old)
    stamp = worker.later()
    claim = worker.claims(stamp)
    for stale in (old, None):
        assert worker.claims(stale).verdict is ClaimVerdict.SETTLED
        assert worker.refuses(stale) == "already"
    job, delivery = worker.message(stamp)
    later = Reschedule(job, delivery, claim, ATTEMPTED, claim.attempts + 1, 0, False, 3600.0)
    assert worker.job_store.reschedule(later) == "rescheduled"
    for stale in (old, None):
        assert worker.claims(stale).verdict is ClaimVerdict.SETTLED
        assert worker.refuses(stale) == "already"
    assert worker.claims(stamp).verdict is ClaimVerdict.DELAYED
    kept = worker.redis.hget(KEYS.delayed_messages, ID)
    assert json.loads(kept.partition(b"|")[2])["headers"]["aigc-enqueued-ms"] == stamp


def test_a_claim_that_was_denied_is_the_same_submission_later(worker: Worker) -> None:
    """While the queue is paused it is put back; afterwards the same message goes on, and counts once."""
    worker.ends("rejected", worker.now_ms())
    stamp = worker.later()
    worker.redis.sadd(KEYS.paused, "*")
    assert [worker.claims(stamp).verdict for _ in range(2)] == [ClaimVerdict.PAUSED] * 2
    worker.redis.srem(KEYS.paused, "*")
    assert worker.claims(stamp).verdict is ClaimVerdict.GO
    assert worker.repeats()["run_again"] == 1


def test_a_job_ends_and_is_submitted_again_any_number_of_times(worker: Worker) -> None:
    """Each time by a later stamp, and none of the earlier ones ever counts again."""
    stamps = []
    for _ in range(3):
        stamps.append(worker.later())
        assert worker.claims(stamps[-1]).verdict is ClaimVerdict.GO
        worker.ends(
            "exhausted", stamps[-1], replace(worker.claims(stamps[-1]), request_id=worker_token(worker))
        )
        assert [worker.claims(each).verdict for each in stamps] == [ClaimVerdict.SETTLED] * len(stamps)
    assert worker.told() == ["exhausted"] * 3


def worker_token(worker: Worker) -> str:
    """The request id of the attempt that is out."""
    return str(worker.job_store.record(ID)["request_ids"][-1])


@pytest.mark.parametrize("status", ["submitted", "unknown"])
def test_what_was_bought_is_not_bought_again_but_told_again(worker: Worker, status: Status) -> None:
    """Once for each submission, whatever comes of its message after that; the record stays as it is."""
    worker.ends(status, worker.now_ms())
    first = worker.told()
    for number in range(1, 3):
        stamp = worker.later()
        claim = worker.claims(stamp)
        assert claim.verdict is ClaimVerdict.REPEATED
        assert worker.republish(claim, stamp) == "published"
        assert worker.republish(claim, stamp) == "already"
        assert worker.claims(stamp).verdict is ClaimVerdict.SETTLED
        assert worker.told() == first * (number + 1)
        assert worker.repeats()["republished"] == number
    assert worker.held() == 0
    assert worker.redis.hget(KEYS.counters, status) == b"1"


def test_a_result_that_is_published_again_says_what_the_first_one_said(worker: Worker) -> None:
    """Task id, attempts and request id are the first purchase's, the metadata the new message's."""
    worker.ends("submitted", worker.now_ms())
    stamp = worker.later()
    worker.republish(worker.claims(stamp), stamp)
    first, again = [json.loads(fields[b"result"]) for _, fields in worker.redis.xrange(KEYS.results)]
    same = ("jobId", "status", "taskId", "workflow", "version", "attempts", "requestId", "possibleDuplicate")
    assert [again[name] for name in same] == [first[name] for name in same]
    assert again["metadata"] == {"row": stamp}


def test_what_an_operator_decides_meanwhile_counts(worker: Worker, redis_server: RedisServer) -> None:
    """Held when it was submitted again, queued by an operator before that was told: it is claimed."""
    desk = Desk(redis_server)
    worker.ends("unknown", worker.now_ms())
    stamp = worker.later()
    claim = worker.claims(stamp)
    assert claim.verdict is ClaimVerdict.REPEATED
    assert desk.aigc("failed", "retry", ID, "--yes").code == 0
    assert worker.republish(claim, stamp) == "changed"
    assert worker.claims(stamp).verdict is ClaimVerdict.GO
    desk.close()


@pytest.mark.parametrize("status", [*WITHOUT_PURCHASE, "unknown"])
def test_what_an_operator_discarded_runs_again(
    worker: Worker, redis_server: RedisServer, status: Status
) -> None:
    """One that was held may have been accepted, so whatever comes of it now is a possible duplicate."""
    desk = Desk(redis_server)
    old = worker.now_ms()
    worker.ends(status, old)
    assert desk.aigc("failed", "discard", ID, "--yes").code == 0
    assert worker.claims(old).verdict is ClaimVerdict.SETTLED
    claim = worker.claims(worker.later())
    assert (claim.verdict, claim.unresolved) == (ClaimVerdict.GO, status == "unknown")
    desk.close()


def test_what_was_discarded_before_an_upgrade_is_a_possible_duplicate_too(
    worker: Worker, redis_server: RedisServer
) -> None:
    """An older version's discard did not note it, but the record was held once."""
    desk = Desk(redis_server)
    worker.ends("unknown", worker.now_ms())
    desk.aigc("failed", "discard", ID, "--yes")
    worker.redis.hdel(KEYS.job(ID), FIELDS["possible_duplicate"].stored, FIELDS["closed_ms"].stored)
    claim = worker.claims(worker.later(1000))
    assert (claim.verdict, claim.unresolved) == (ClaimVerdict.GO, True)
    desk.close()


def test_an_end_that_an_older_version_wrote_is_over_with_its_second(worker: Worker) -> None:
    """Its record has no milliseconds, or those of an earlier end: a stamp within that second is old."""
    worker.ends("rejected", worker.now_ms())
    second = int(worker.field("finished_s") or 0) * 1000
    for closed in (None, second - 60_000):
        worker.redis.hdel(KEYS.job(ID), FIELDS["closed_ms"].stored)
        if closed:
            worker.redis.hset(KEYS.job(ID), FIELDS["closed_ms"].stored, closed)
        assert worker.claims(second + 999).verdict is ClaimVerdict.SETTLED
    assert worker.claims(second + 1000).verdict is ClaimVerdict.GO


@pytest.mark.parametrize("state", ENDED_STATES)
def test_of_all_ends_only_a_purchase_and_a_doubt_are_not_run_again(worker: Worker, state: str) -> None:
    """Also of those that are added later, by whatever script."""
    worker.redis.hset(KEYS.job(ID), mapping={"s": state, "f": worker.now_ms() // 1000 - 1})
    bought = state in ("accepted", "unknown")
    expected = ClaimVerdict.REPEATED if bought else ClaimVerdict.GO
    assert worker.claims(worker.later(1000)).verdict is expected


def test_an_invalid_job_that_is_submitted_again_ends_again(worker: Worker) -> None:
    """Invalid still, it is told so; mended, it runs; and its first message stays harmless."""
    first = worker.now_ms()
    assert worker.refuses(first) == "settled"
    again = worker.later()
    assert worker.refuses(again) == "settled"
    assert worker.refuses(again) == "already"
    assert (
        worker.redis.zcard(KEYS.dead_letters("rejected")) == worker.redis.hlen(KEYS.dead_letter_results) == 1
    )
    mended = worker.later()
    assert worker.claims(mended).verdict is ClaimVerdict.GO
    assert worker.refuses(first) == "already"
    assert worker.told() == ["rejected", "rejected"]
    assert worker.repeats() == {"run_again": 2, "republished": 0, "ignored": 0}


@pytest.mark.parametrize("status", ["submitted", "unknown"])
def test_an_invalid_message_does_not_end_what_was_bought(worker: Worker, status: Status) -> None:
    """The caller is told to publish the result again; record and stream stay as they are."""
    worker.ends(status, worker.now_ms())
    assert worker.refuses(worker.later()) == "repeated"
    assert worker.told() == [status]


def test_a_late_yes_ends_the_job_that_runs_again(worker: Worker) -> None:
    """An attempt of before, of which nobody knew: its job is bought, and the new message only told so."""
    first = worker.now_ms()
    claim = worker.claims(first)
    worker.redis.hset(KEYS.job(ID), FIELDS["state"].stored, "exhausted")  # its worker was taken for dead
    stamp = worker.later()
    worker.redis.zrem(KEYS.sending, f"{worker.registry.owner}|{ID}")
    worker.redis.sadd(KEYS.paused, "*")
    assert worker.claims(stamp).verdict is ClaimVerdict.PAUSED
    worker.redis.srem(KEYS.paused, "*")
    assert worker.ends("submitted", first, claim, late=True) == "settled"
    assert worker.claims(stamp).verdict is ClaimVerdict.SETTLED
    assert worker.told() == ["submitted"]


def test_a_submission_that_must_wait_is_not_lost(worker: Worker) -> None:
    """A fault of ours before its claim has it look again later, though the job has ended."""
    old = worker.now_ms()
    worker.ends("rejected", old)
    job, delivery = worker.message(old)
    worker.job_store.look_again(job, delivery, 60.0)
    assert worker.redis.zcard(KEYS.delayed) == 0
    job, delivery = worker.message(worker.later())
    worker.job_store.look_again(job, delivery, 60.0)
    assert (worker.redis.zcard(KEYS.delayed), worker.redis.hlen(KEYS.delayed_messages)) == (1, 1)
    assert worker.held() == 0


def test_an_operator_who_queues_it_again_is_not_taken_for_an_old_message(
    worker: Worker, redis_server: RedisServer
) -> None:
    """Its message has the stamp of long ago, and goes on all the same, also after it was submitted again."""
    desk = Desk(redis_server)
    stamp = worker.now_ms()
    for _ in range(2):
        worker.ends("exhausted", stamp)
        assert desk.aigc("failed", "retry", ID, "--yes").code == 0
        claim = worker.claims(stamp)
        assert claim.verdict is ClaimVerdict.GO
        worker.ends("rejected", stamp, claim)
        stamp = worker.later()
    desk.close()


# Whole workers


@pytest.fixture
def stage(redis_server: RedisServer) -> Iterator[Stage]:
    with staged(redis_server) as stage:
        stage.worker()
        yield stage


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ended(stage: Stage, job_id: str, count: int) -> list[dict[str, Any]]:
    until(lambda: len(stage.results_of(job_id)) >= count, f"{count} results")
    return stage.results_of(job_id)


def test_a_row_that_was_rejected_is_mended_and_submitted_again(stage: Stage) -> None:
    """By the same id, alone or in a batch message; in the end it is bought once, and its log says why."""
    bad, good = faulty("param_error"), faulty()
    one = stage.enqueue(bad, enqueued_ms=now_ms())
    assert stage.result(one)["status"] == "rejected"
    stage.enqueue(good, one, enqueued_ms=now_ms() + 1)
    assert [each["status"] for each in ended(stage, one, 2)] == ["rejected", "submitted"]
    jobs = [Job(f"row-{n}", INVALID if n else bad, enqueued_ms=now_ms()) for n in range(3)]
    stage.redis.lpush(KEYS.queue, encode_batch(jobs, KEYS.queue, "batch-1"))
    for job in jobs:
        stage.result(job.id)
    mended = [replace(job, payload=text(f"mended {job.id}"), enqueued_ms=now_ms() + 1) for job in jobs]
    stage.redis.lpush(KEYS.queue, encode_batch(mended, KEYS.queue, "batch-2"))
    for job in mended:
        assert [each["status"] for each in ended(stage, job.id, 2)] == ["rejected", "submitted"]
    stage.redis.lpush(KEYS.queue, encode_batch(jobs, KEYS.queue, "batch-1"))  # once more, the old ones
    stage.enqueue(bad, one, enqueued_ms=1)
    stage.drain()
    assert [len(stage.results_of(job.id)) for job in jobs] == [2, 2, 2]
    assert len(stage.vendor.posts_of(bad)) == 2
    logged(stage.workers[0], "it runs again")


def test_a_job_that_was_bought_is_told_again_and_not_bought(stage: Stage) -> None:
    """Whether its payload is the old one or none that may be sent; without a stamp it is only said."""
    payload = faulty()
    job = stage.enqueue(payload, enqueued_ms=now_ms())
    first = stage.result(job)
    stage.enqueue(payload, job, enqueued_ms=now_ms() + 1)
    ended(stage, job, 2)
    stage.enqueue(INVALID, job, enqueued_ms=now_ms() + 2)
    results = ended(stage, job, 3)
    stage.enqueue(payload, job)
    stage.drain()
    assert len(stage.results_of(job)) == 3
    assert {(each["status"], each["taskId"]) for each in results} == {("submitted", first["taskId"])}
    assert len(stage.vendor.posts_of(payload)) == 1
    logged(stage.workers[0], "it is not bought again", "aigc-enqueued-ms")
