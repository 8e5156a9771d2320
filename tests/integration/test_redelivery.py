"""Redelivery is harmless: however often a job's message comes, one POST, one task id, one result."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tasks.contract import DEFAULT_QUEUE
from tasks.envelope import Job, encode, encode_batch
from tests.conditions import until
from tests.integration.stage import Stage, faulty, staged, working
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A stage with two workers."""
    with working() as stage:
        stage.worker()
        until(lambda: len(stage.living()) == 2, "the second worker")
        yield stage


def test_the_same_message_after_its_result(stage: Stage) -> None:
    """A message that comes again after its job has ended is dropped: no POST, no second result, no rest."""
    payload = faulty()
    job = Job(str(uuid.uuid4()), payload)
    stage.redis.lpush(DEFAULT_QUEUE, encode(job, DEFAULT_QUEUE))
    stage.result(job.id)
    stage.redis.lpush(DEFAULT_QUEUE, *[encode(job, DEFAULT_QUEUE)] * 3)
    stage.drain()
    assert (len(stage.vendor.posts_of(payload)), len(stage.results_of(job.id))) == (1, 1)


@pytest.mark.parametrize("rule", ["", "slow(300)", "sys_error*2", "throttle*1", "reset_after_accept"])
def test_the_same_message_five_times_at_once(stage: Stage, rule: str) -> None:
    """Of five deliveries over two workers one posts, whatever the vendor does to it."""
    payload = faulty(rule)
    job = Job(str(uuid.uuid4()), payload)
    stage.redis.lpush(DEFAULT_QUEUE, *[encode(job, DEFAULT_QUEUE)] * 5)
    stage.result(job.id)
    stage.drain()
    assert [
        len(stage.results_of(job.id)),
        sum(bool(post["taskId"]) for post in stage.vendor.posts_of(payload)),
    ] == [1, 1]


def test_an_unknown_job_is_not_bought_again_by_a_redelivery(stage: Stage) -> None:
    """A held job stays held: its message, come again, is no order to resubmit."""
    payload = faulty("reset_after_accept*1")
    job = Job(str(uuid.uuid4()), payload)
    for _ in range(3):
        stage.redis.lpush(DEFAULT_QUEUE, encode(job, DEFAULT_QUEUE))
        assert stage.result(job.id)["status"] == "unknown"
    stage.drain()
    assert (len(stage.vendor.posts_of(payload)), len(stage.results_of(job.id))) == (1, 1)


def test_a_message_too_many_leaves_the_queue(redis_server: RedisServer) -> None:
    """A message of a job that has ended is deleted: it does not go round for ever."""
    with staged(redis_server) as stage:
        stage.worker()
        job = stage.enqueue(payload := faulty())
        stage.result(job)
        stage.enqueue(payload, job)
        stage.drain()


def test_a_job_in_two_batches_is_paid_once(stage: Stage) -> None:
    """The same ids in two messages at once, and one more time by themselves."""
    payloads = [faulty() for _ in range(20)]
    jobs = [Job(str(uuid.uuid4()), payload) for payload in payloads]
    batches = [encode_batch(order, DEFAULT_QUEUE, str(uuid.uuid4())) for order in (jobs, jobs[::-1])]
    stage.redis.lpush(DEFAULT_QUEUE, *batches, *(encode(job, DEFAULT_QUEUE) for job in jobs))
    for job in jobs:
        assert stage.result(job.id)["status"] == "submitted"
    stage.drain()
    assert [len(stage.vendor.posts_of(payload)) for payload in payloads] == [1] * 20
    assert [len(stage.results_of(job.id)) for job in jobs] == [1] * 20


def test_a_job_id_of_another_payload_is_the_first_one(stage: Stage) -> None:
    """Who reuses a job id gets the first job's result, and buys nothing."""
    first, second = faulty(), faulty()
    job = stage.enqueue(first)
    task_id = stage.result(job)["taskId"]
    stage.enqueue(second, job)
    stage.drain()
    assert stage.vendor.posts_of(second) == []
    assert [result["taskId"] for result in stage.results_of(job)] == [task_id]


def test_a_rejected_job_is_rejected_once(stage: Stage) -> None:
    """Also without any attempt there is one result, however often the message comes."""
    bad = {"workflow": "NOPE"}
    job = stage.enqueue(bad)
    stage.result(job)
    for _ in range(3):
        stage.enqueue(bad, job)
    stage.drain()
    assert len(stage.results_of(job)) == 1


def test_a_hundred_jobs_three_times_each(redis_server: RedisServer) -> None:
    """Under load of duplicates every job has one result and one task id, and the vendor no duplicate."""
    with staged(redis_server) as stage:
        jobs = [Job(str(uuid.uuid4()), faulty("sys_error:10%")) for _ in range(100)]
        for _ in range(3):
            stage.redis.lpush(DEFAULT_QUEUE, *(encode(job, DEFAULT_QUEUE) for job in jobs))
        stage.worker(CONCURRENCY=8, READ_TIMEOUT_S=30)
        stage.worker(CONCURRENCY=8, READ_TIMEOUT_S=30)
        until(lambda: len(stage.results()) >= len(jobs), "the results")
        stage.drain()
        assert len({result["jobId"] for result in stage.results()}) == len(stage.results()) == len(jobs)
        assert stage.vendor.get("stats")["duplicates"] == 0
