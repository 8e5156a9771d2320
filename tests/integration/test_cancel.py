"""A job that is cancelled, or revoked by Celery, is not bought any more, and its result says so."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from celery import Celery

import tasks
from tasks import batches
from tasks.contract import DEFAULT_QUEUE, TASK_NAME
from tasks.envelope import Job, encode_batch
from tests.conditions import PATIENCE_S, until
from tests.integration.stage import Stage, faulty, logged, working
from tests.redis_server import RedisServer
from worker.store.revocations import Revocations
from worker.store.scripts import connect

PAUSED = f"{DEFAULT_QUEUE}:paused"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working(RETRY_BASE_S=30, RETRY_CAP_S=30, CALLBACK_QUEUE="shop") as stage:
        logged(stage.workers[0], "this worker takes")
        until(lambda: stage.redis.pubsub_numsub("/0.celery.pidbox")[0][1], "it to listen")
        yield stage


@pytest.fixture(autouse=True)
def _here(stage: Stage) -> Iterator[None]:
    tasks.configure(redis_url=stage.server.url)
    yield
    stage.redis.delete(PAUSED, "shop")
    tasks.configure()


@pytest.fixture
def shop(stage: Stage) -> Iterator[Celery]:
    """A producer that has Celery, and nothing of ours."""
    with Celery("shop", broker=stage.server.url, set_as_current=False) as app:
        yield app


def by_cancel(stage: Stage, shop: Celery, job: str) -> None:
    assert tasks.cancel(job)


def by_revoke(stage: Stage, shop: Celery, job: str) -> None:
    shop.control.revoke(job)
    until(lambda: stage.redis.hexists(f"{DEFAULT_QUEUE}:job:{job}", "c"), "the worker to hear it")


WAYS = pytest.mark.parametrize("way", [by_cancel, by_revoke])
Way = Callable[[Stage, Celery, str], None]


def ended(stage: Stage, job: str, payload: dict[str, Any], posts: int = 0) -> None:
    """It has one result, `cancelled`, and was posted so often."""
    result = stage.result(job)
    stage.drain()
    assert [each["status"] for each in stage.results_of(job)] == ["cancelled"]
    assert (result["errorCode"], result["taskId"]) == ("AIGC_CANCELLED", None)
    assert len(stage.vendor.posts_of(payload)) == result["attempts"] == posts


@WAYS
def test_a_queued_job_is_not_bought(stage: Stage, shop: Celery, way: Way) -> None:
    """It ends when its turn comes, with its metadata; its neighbours are sent."""
    stage.redis.sadd(PAUSED, "*")
    payload, other = faulty(), stage.enqueue(faulty())
    job = stage.enqueue(payload, metadata={"sku": "A-1"})
    way(stage, shop, job)
    stage.redis.delete(PAUSED)
    ended(stage, job, payload)
    assert stage.result(job)["metadata"] == {"sku": "A-1"}
    assert stage.result(other)["status"] == "submitted"


@WAYS
def test_one_job_of_a_batch_is_not_bought(stage: Stage, shop: Celery, way: Way) -> None:
    """The others of its message are."""
    stage.redis.sadd(PAUSED, "*")
    payload = faulty()
    jobs = [Job(str(uuid.uuid4()), each) for each in (faulty(), payload, faulty())]
    stage.redis.lpush(DEFAULT_QUEUE, encode_batch(jobs, DEFAULT_QUEUE, str(uuid.uuid4())))
    way(stage, shop, jobs[1].id)
    stage.redis.delete(PAUSED)
    ended(stage, jobs[1].id, payload)
    assert {stage.result(job.id)["status"] for job in (jobs[0], jobs[2])} == {"submitted"}


@WAYS
def test_a_job_that_waits_for_its_next_attempt_ends_at_once(stage: Stage, shop: Celery, way: Way) -> None:
    """No second attempt is made, and nobody waits for the time of it."""
    payload = faulty("sys_error")
    job = stage.enqueue(payload)
    key = f"{DEFAULT_QUEUE}:job:{job}"
    # As it would be after a long backoff: full jitter may have drawn a short one.
    until(lambda: stage.redis.hget(key, "s") == b"waiting", "the job to wait")
    stage.redis.zadd(f"{DEFAULT_QUEUE}:waiting", {job: (time.time() + 3600) * 1000}, xx=True)
    way(stage, shop, job)
    ended(stage, job, payload, posts=1)


def test_a_job_for_later_is_not_bought(stage: Stage, shop: Celery) -> None:
    """One with a countdown ends when it is due."""
    payload = faulty()
    job = shop.send_task(TASK_NAME, args=[payload], queue=DEFAULT_QUEUE, countdown=1.5).id
    assert tasks.cancel(job)
    ended(stage, job, payload)


@WAYS
def test_a_job_of_a_batch_that_waits_for_its_eta_ends_at_once(stage: Stage, shop: Celery, way: Way) -> None:
    """Its batch counts it so, and has finished with it."""
    payload, batch = faulty(), f"b-{uuid.uuid4()}"
    job = tasks.submit(payload, batch=batch, countdown=3600)
    batches.close(batch)
    until(lambda: stage.redis.zscore(f"{DEFAULT_QUEUE}:waiting", job), "the job to wait for its ETA")
    way(stage, shop, job)
    ended(stage, job, payload)
    found = batches.wait(batch, timeout_s=PATIENCE_S)
    assert (found.total, found.statuses["cancelled"]) == (1, 1)


def test_a_job_may_be_cancelled_before_it_is_queued(stage: Stage) -> None:
    """Whoever revokes it may be faster than its producer; the mark is not kept for ever."""
    job, payload = str(uuid.uuid4()), faulty()
    assert tasks.cancel(job)
    assert 0 < stage.redis.ttl(f"{DEFAULT_QUEUE}:job:{job}") <= 604_800
    stage.enqueue(payload, job)
    ended(stage, job, payload)
    assert tasks.cancel(job)


def test_what_is_being_sent_or_has_ended_is_not_cancelled(stage: Stage) -> None:
    """Too late is said, and nothing changes."""
    payload = faulty("slow(1000)")
    job = stage.enqueue(payload)
    until(lambda: stage.vendor.posts_of(payload), "the POST")
    assert not tasks.cancel(job)
    assert stage.result(job)["status"] == "submitted"
    stage.drain()
    assert not tasks.cancel(job)
    assert stage.redis.hget(f"{DEFAULT_QUEUE}:job:{job}", "s") == b"accepted"


def test_a_cancelled_job_stays_so(stage: Stage) -> None:
    """A second message of it buys nothing, and it is no dead letter."""
    job, payload = str(uuid.uuid4()), faulty()
    tasks.cancel(job)
    for _ in range(3):
        stage.enqueue(payload, job)
    ended(stage, job, payload)
    assert not stage.redis.hexists(f"{DEFAULT_QUEUE}:shelf:results", job)
    assert '"level":"ERROR"' not in "".join(
        line for line in stage.workers[0].output().splitlines() if job in line
    )


def test_where_an_attempt_may_have_been_accepted_it_is_not_called_cancelled(stage: Stage) -> None:
    """What is in doubt stays in doubt: the job is held as unknown."""
    job = str(uuid.uuid4())
    stage.redis.hset(f"{DEFAULT_QUEUE}:job:{job}", mapping={"s": "waiting", "n": 1, "d": 1, "r": b"x" * 16})
    assert tasks.cancel(job)
    stage.enqueue(faulty(), job)
    result = stage.result(job)
    assert (result["status"], result["errorCode"]) == ("unknown", "AIGC_CANCELLED")
    assert result["possibleDuplicate"] is True


def test_a_job_that_was_cancelled_runs_again_when_it_is_submitted_again(stage: Stage) -> None:
    """Cancelled once more before its turn, it does not; cancelled before it was submitted, it does."""
    job, payload = str(uuid.uuid4()), faulty()

    def submitted_again(times: int) -> str:
        until(lambda: len(stage.results_of(job)) == times, "its end")
        stage.drain()
        return str(stage.results_of(job)[-1]["status"])

    tasks.cancel(job)
    tasks.submit(payload, job_id=job)
    assert submitted_again(1) == "cancelled"
    stage.redis.sadd(PAUSED, "*")
    tasks.submit(payload, job_id=job)
    assert tasks.cancel(job)
    stage.redis.delete(PAUSED)
    assert submitted_again(2) == "cancelled"
    assert tasks.cancel(job)
    mark = int(stage.redis.hget(f"{DEFAULT_QUEUE}:job:{job}", "c"))
    until(lambda: time.time() * 1000 >= mark + 1, "a later millisecond")
    tasks.submit(payload, job_id=job)
    assert submitted_again(3) == "submitted"
    assert len(stage.vendor.posts_of(payload)) == 1


def test_an_errback_follows(stage: Stage, shop: Celery) -> None:
    """A chain whose job was cancelled does not go on."""
    stage.redis.sadd(PAUSED, "*")
    following = {"link": shop.signature("shop.done"), "link_error": shop.signature("shop.failed")}
    job = shop.send_task(TASK_NAME, args=[faulty()], queue=DEFAULT_QUEUE, **following)
    job.revoke()
    until(lambda: stage.redis.hexists(f"{DEFAULT_QUEUE}:job:{job.id}", "c"), "the worker to hear it")
    stage.redis.delete(PAUSED)
    assert stage.result(job.id)["status"] == "cancelled"
    stage.drain()
    (message,) = stage.redis.lrange("shop", 0, -1)
    assert b'"shop.failed"' in message
    assert b'"status": "cancelled"' in message


CHANNEL = "/0.celery.pidbox"


def test_a_listener_that_lost_its_connection_listens_again(own_redis_server: RedisServer) -> None:
    """Redis restarts: that is told once, then the next revoke is heard."""
    with closing(connect(own_redis_server.url)) as client, closing(Revocations(client, "q")) as listener:
        listener.poll()
        own_redis_server.kill()
        with pytest.raises(redis.ConnectionError):
            until(lambda: listener.poll(), "the loss")
        own_redis_server.start()
        until(lambda: not listener.poll() and client.pubsub_numsub(CHANNEL)[0][1], "it to listen")
        with Celery("shop", broker=own_redis_server.url, set_as_current=False) as shop:
            shop.control.revoke(["a", "b"])
        until(lambda: listener.poll() or client.exists("q:job:a", "q:job:b") == 2, "both to be cancelled")


def test_a_worker_that_may_not_listen_works_without(
    own_redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The right to the channel is missing: it is said once, and no more is asked."""
    admin: Any = own_redis_server.client()
    admin.execute_command("ACL", "SETUSER", "worker", "on", ">pw", "~*", "resetchannels", "&q*", "+@all")
    url = own_redis_server.url.replace("://", "://worker:pw@")
    with closing(connect(url)) as client, closing(Revocations(client, "q")) as listener:
        until(lambda: not listener.poll() and caplog.records, "the refusal")
        for _ in range(3):
            assert not listener.poll()
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "revoke is not heard, tasks.cancel works: Redis refuses to listen ("
    )
