"""During an upgrade: a worker takes a job with an argument that only a later version knows."""

from __future__ import annotations

import time
import uuid

from tasks.contract import BATCH_TASK_NAME, DEFAULT_QUEUE
from tasks.envelope import Job, encode_batch, jobs_of
from tests.conditions import until
from tests.integration.stage import Stage, faulty, logged
from worker.domain.message import parse


def _kept(stage: Stage, job_id: str) -> Job:
    """The job as it waits in Redis."""
    _, _, raw = stage.redis.hget("aigc:waiting:messages", job_id).partition(b"|")
    message = parse(raw, "")
    args, kwargs, _ = message.arguments
    (job,) = jobs_of(message.task, message.job_id, args, kwargs, message.headers)
    assert isinstance(job, Job)
    return job


def test_it_waits_and_the_others_go_on(stage: Stage) -> None:
    """Neither sent nor ended, alone or in a batch; its argument is kept, and since when it is known."""
    alone, batched, plain = (str(uuid.uuid4()) for _ in range(3))
    payload = faulty()
    stage.enqueue(payload, alone, newer={"tenant": "north"})
    batch = [Job(batched, payload, newer={"tenant": "south"}), Job(plain, faulty())]
    stage.redis.lpush(DEFAULT_QUEUE, encode_batch(batch, DEFAULT_QUEUE, str(uuid.uuid4())))
    worker = stage.worker()
    assert stage.result(plain)["status"] == "submitted"
    until(lambda: stage.waiting() == 2 and not stage.held(), "both to wait")
    assert (_kept(stage, alone).newer, _kept(stage, batched).newer) == (
        {"tenant": "north"},
        {"tenant": "south"},
    )
    assert stage.redis.hget(f"aigc:job:{alone}", "e")
    assert stage.results_of(alone) == stage.results_of(batched) == []
    assert stage.vendor.posts_of(payload) == []
    assert logged(worker, "tenant").count("does not know") == 1
    # A worker that understands it, and takes it before it is due again, buys it as any other.
    stage.redis.zrem("aigc:waiting", alone)
    stage.enqueue(payload, alone)
    assert stage.result(alone)["status"] == "submitted"
    assert len(stage.vendor.posts_of(payload)) == 1


def test_its_deadline_ends_it(stage: Stage) -> None:
    """Where no such worker comes: `exhausted`, so that it can be queued again; without a stamp as well."""
    worker = stage.worker(JOB_DEADLINE_S=1)
    job = stage.enqueue(faulty(), newer={"tenant": "north"})
    result = stage.result(job)
    assert (result["status"], result["errorCode"], result["attempts"]) == (
        "exhausted",
        "AIGC_DEADLINE_EXCEEDED",
        0,
    )
    assert "tenant" in result["errorMsg"]
    stage.drain()
    assert worker.process.poll() is None
    assert BATCH_TASK_NAME not in worker.output()


def test_a_job_in_a_later_state_waits_and_is_told_of(stage: Stage) -> None:
    """A worker that was rolled back neither buys nor ends it, nor asks in a circle; its log says why."""
    payload, ids = faulty(), [str(uuid.uuid4()) for _ in range(3)]
    for job_id in ids:
        stage.redis.hset(f"aigc:job:{job_id}", "s", "in-review")
        stage.enqueue(payload, job_id)
    worker = stage.worker()
    stage.result(stage.enqueue(faulty()))
    until(lambda: stage.waiting() == 3 and not stage.held(), "all to wait")
    assert logged(worker, "in-review").count("a newer worker") == 1
    assert stage.redis.zrangebyscore("aigc:waiting", "-inf", 1000 * (time.time() + 15)) == []
    assert stage.vendor.posts_of(payload) == []
    assert [stage.results_of(job_id) for job_id in ids] == [[]] * 3
