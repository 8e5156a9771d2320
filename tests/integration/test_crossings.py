"""Where features meet: ETAs and submissions again, cancellation and ETAs, bad messages and doubts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.cancellation import cancel_in
from tasks.envelope import Job, encode, encode_batch, jobs_of
from tests.conditions import until
from tests.integration.desk import Desk
from tests.integration.stage import CAT, Stage, faulty, staged
from tests.integration.test_submitted_again import ATTEMPTED, ID, INVALID, KEYS, Worker
from tests.redis_server import RedisServer
from worker.domain.message import parse
from worker.processing import steps
from worker.store.delayed import promote
from worker.store.linked import LinkedJobs
from worker.store.queue import MessageQueue
from worker.store.record import FIELDS
from worker.store.values import ClaimVerdict, Reschedule

MONTH_S = 30 * 86_400.0


@pytest.fixture
def worker(redis_server: RedisServer) -> Iterator[Worker]:
    made = Worker(redis_server)
    yield made
    made.scripts.close()


def takes_for_later(worker: Worker, stamp: int, ahead_s: float) -> None:
    """It takes a message of the job that has this stamp, and an ETA so far ahead."""
    message = json.loads(encode(Job(ID, CAT, enqueued_ms=stamp), KEYS.queue))
    message["headers"]["eta"] = (datetime.now(UTC) + timedelta(seconds=ahead_s)).isoformat()
    worker.redis.lpush(KEYS.queue, json.dumps(message))
    queue = MessageQueue(worker.scripts, KEYS, worker.registry, lambda _: None, threading.Event())
    assert queue.take(1) == []
    assert worker.held() == 0


@pytest.mark.parametrize("ahead_s", [5.0, 3600.0])
def test_a_job_that_is_submitted_again_for_later_waits(worker: Worker, ahead_s: float) -> None:
    """By the stamp that its producer gave it, however far ahead the ETA; an old message of it is dropped."""
    old = worker.now_ms()
    worker.ends("rejected", old)
    takes_for_later(worker, old, ahead_s)
    assert worker.redis.zcard(KEYS.delayed) == 0
    takes_for_later(worker, worker.later(), ahead_s)
    assert worker.redis.zcard(KEYS.delayed) == worker.redis.hlen(KEYS.delayed_messages) == 1


def test_a_job_that_is_submitted_again_with_a_countdown_is_bought(redis_server: RedisServer) -> None:
    """Once it is due, and its result says so."""
    with staged(redis_server) as stage:
        stage.worker()
        payload, bad = faulty(), faulty("param_error")
        job = stage.enqueue(bad, enqueued_ms=time.time_ns() // 1_000_000)
        assert stage.result(job)["status"] == "rejected"
        due = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        headers = {"eta": due, "aigc-enqueued-ms": time.time_ns() // 1_000_000 + 1}
        stage.put_body(json.dumps([[payload], {}, {}]), job, headers)
        until(lambda: len(stage.results_of(job)) == 2, "the second result")
        assert stage.result(job)["status"] == "submitted"


@pytest.mark.parametrize("is_queued", [True, False])
def test_what_is_cancelled_does_not_wait_for_its_eta(worker: Worker, is_queued: bool) -> None:
    """It is handed over at once, to end; not to be sent."""
    stamp = worker.now_ms()
    if is_queued:
        takes_for_later(worker, stamp, MONTH_S)
        cancel_in(worker.redis, KEYS.queue, ID)
        until(lambda: promote(worker.scripts) and not worker.redis.zcard(KEYS.delayed), "it to be due")
        queue = MessageQueue(worker.scripts, KEYS, worker.registry, lambda _: None, threading.Event())
        assert [message.job_id for message in queue.take(1)] == [ID]
    else:
        cancel_in(worker.redis, KEYS.queue, ID)
        with pytest.raises(AssertionError, match=f"job_id='{ID}'"):
            takes_for_later(worker, stamp, MONTH_S)
    assert worker.held() == 1
    assert worker.claims(stamp).verdict is ClaimVerdict.CANCELLED


def test_refusals_of_before_do_not_count_when_it_runs_again(worker: Worker) -> None:
    """Also where an older worker, which does not know of them, wrote its end."""
    worker.ends("exhausted", worker.now_ms())
    worker.redis.hset(KEYS.job(ID), FIELDS["refusals"].stored, 2)
    claim = worker.claims(worker.later())
    assert (claim.verdict, claim.refusals, worker.field("refusals")) == (ClaimVerdict.GO, 0, None)


def test_refusals_of_before_do_not_count_after_a_retry(worker: Worker, redis_server: RedisServer) -> None:
    """An operator who queues a job again holds nothing against it."""
    desk, stamp = Desk(redis_server), worker.now_ms()
    worker.ends("exhausted", stamp)
    worker.redis.hset(KEYS.job(ID), FIELDS["refusals"].stored, 2)
    assert desk.aigc("failed", "retry", ID, "--yes").code == 0
    assert worker.claims(stamp).refusals == 0
    desk.close()


def test_a_bad_message_does_not_end_the_job_of_a_dead_worker(worker: Worker) -> None:
    """What it was sending may have been accepted: its own message decides."""
    stamp = worker.now_ms()
    worker.claims(stamp)
    worker.redis.hset(KEYS.job(ID), FIELDS["state"].stored, "orphan")
    assert [worker.refuses(stamp), worker.refuses(worker.later())] == ["stale", "stale"]
    assert (worker.told(), worker.field("state"), worker.held()) == ([], "orphan", 2)


def test_a_bad_message_does_not_end_a_job_in_doubt_as_if_nothing_was_bought(worker: Worker) -> None:
    """Its attempt may have been accepted; the caller is told so, and nothing has changed."""
    stamp = worker.now_ms()
    job, delivery = worker.message(stamp)
    again = Reschedule(job, delivery, worker.claims(stamp), ATTEMPTED, 1, 0, True, 0.0)
    worker.job_store.reschedule(again)
    until(lambda: promote(worker.scripts) and not worker.redis.zcard(KEYS.delayed), "it to be due")
    assert [worker.refuses(worker.later()) for _ in range(2)] == ["in-doubt"] * 2
    assert worker.told() == []
    assert worker.claims(stamp).unresolved


def test_a_job_in_doubt_whose_message_is_bad_is_held(stage: Stage) -> None:
    """As unknown, with its attempts and why it is not sent; an operator finds it."""
    record = {"s": "waiting", "n": 1, "d": 1, "r": b"x" * 16}
    stage.redis.hset(KEYS.job(ID), mapping=record)
    stage.worker()
    stage.enqueue(INVALID, ID)
    result = stage.result(ID)
    assert (result["status"], result["errorCode"]) == ("unknown", "AIGC_INVALID_PAYLOAD")
    assert (result["possibleDuplicate"], result["attempts"]) == (True, 1)
    stage.drain()
    assert stage.redis.zscore(KEYS.dead_letters("unknown"), ID)


def test_a_clock_step_beside_a_vendor_that_answers_is_mended(worker: Worker) -> None:
    """The breaker has no silence to move, and all that waits is moved all the same."""
    due = worker.now_ms() + 3_600_000
    worker.redis.hset(KEYS.clock, "last", worker.now_ms() + 300_000)
    worker.redis.hset(KEYS.breaker, mapping={"from": 1, "silent": "", "lost": 5})
    worker.redis.zadd(KEYS.delayed, {"another-job": due})
    assert promote(worker.scripts).stepped_back_s > 299
    assert worker.redis.zscore(KEYS.delayed, "another-job") < due - 299_000


def test_a_linked_message_outlives_a_republication(worker: Worker) -> None:
    """It is deleted once its callbacks are sent, and not before."""
    worker.ends("submitted", worker.now_ms())
    stamp = worker.later()
    claim = worker.claims(stamp)
    assert claim.past is not None
    job, delivery = worker.message(stamp)
    again = steps.republish(job, replace(delivery, linked=True), claim.past)
    assert [worker.job_store.store.write_one(again).verdict for _ in range(2)] == ["published", "already"]
    assert worker.redis.hexists(KEYS.unacked(delivery.owner), delivery.tag)


def test_a_batch_is_stamped_as_late_as_its_last_job(worker: Worker) -> None:
    """One that ended while the batch was gathered is submitted again by it."""
    early = worker.now_ms()
    worker.ends("rejected", worker.later())
    jobs = [Job("another-job", CAT, enqueued_ms=early), Job(ID, CAT, enqueued_ms=worker.later())]
    message = parse(encode_batch([*jobs, Job("a-third", CAT)], KEYS.queue, "batch"), "")
    args, kwargs, _ = message.arguments
    _, again, _ = jobs_of(message.task, message.job_id, args, kwargs, message.headers)
    assert isinstance(again, Job)
    assert worker.claim(again).verdict is ClaimVerdict.GO


def test_errbacks_of_an_end_do_not_count_for_the_next(worker: Worker) -> None:
    """A job is submitted again while they are being sent: those of its second end are sent, too."""
    linked = LinkedJobs(worker.scripts, KEYS)
    worker.ends("rejected", worker.now_ms())
    stamp = worker.later()
    (_, first), (_, second) = worker.message(0), worker.message(stamp)
    assert linked.may_follow(ID, "errbacks", f"{first.owner}/{first.tag}")
    claim = worker.claims(stamp)
    linked.followed_up(ID, "errbacks", f"{first.owner}/{first.tag}")
    worker.ends("rejected", stamp, claim)
    assert linked.may_follow(ID, "errbacks", f"{second.owner}/{second.tag}")
    for _ in range(2):
        linked.followed_up(ID, "errbacks", f"{second.owner}/{second.tag}")
    assert worker.field("followed_up") == "errbacks"


def test_an_eta_beyond_all_deadlines_is_refused_each_time_that_it_is_submitted(stage: Stage) -> None:
    """Also a job that has ended before is told why it does not run again."""
    stage.worker()
    body, eta = json.dumps([[faulty()], {}, {}]), "9999-12-31T23:59:59+00:00"
    for count in (1, 2):
        headers = {"eta": eta, "aigc-enqueued-ms": time.time_ns() // 1_000_000 + count}
        stage.put_body(body, ID, headers)
        until(lambda: len(stage.results_of(ID)) == count, f"{count} results")  # noqa: B023
    stage.put_body(body, ID, headers)
    stage.drain()
    assert [each["status"] for each in stage.results_of(ID)] == ["rejected"] * 2


@pytest.mark.parametrize("ahead_s", [30.0, MONTH_S])
def test_what_is_submitted_again_for_later_and_cancelled_then_is_not_bought(
    worker: Worker, ahead_s: float
) -> None:
    """It was cancelled after it was submitted, though before its ETA; its past is known until then."""
    worker.ends("rejected", worker.now_ms())
    takes_for_later(worker, worker.later(), ahead_s)
    due = int(worker.redis.zscore(KEYS.delayed, ID))
    worker.redis.expire(KEYS.job(ID), 604_800)
    assert cancel_in(worker.redis, KEYS.queue, ID)
    assert worker.redis.ttl(KEYS.job(ID)) > ahead_s
    assert int(worker.field("cancel_asked_ms") or 0) > due
    if ahead_s < 60:
        assert worker.claims(due).verdict is ClaimVerdict.CANCELLED
