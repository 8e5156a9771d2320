"""A batch or a workflow that is cancelled: nothing of it is bought any more, wherever it waits."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

import tasks
from tasks import batches
from tasks.batches import Cancelled
from tasks.contract import DEFAULT_QUEUE, TASK_NAME
from tests.conditions import until
from tests.integration.stage import Stage, faulty, logged, working
from worker.cli import run

PAUSED = f"{DEFAULT_QUEUE}:paused"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working(RETRY_BASE_S=600, RETRY_CAP_S=600) as stage:
        logged(stage.workers[0], "this worker takes")
        yield stage


@pytest.fixture(autouse=True)
def _here(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tasks.configure(redis_url=stage.server.url)
    monkeypatch.setenv("AIGC_REDIS_URL", stage.server.url)
    yield
    stage.redis.delete(PAUSED, f"{DEFAULT_QUEUE}:cancels")
    stage.vendor.set("latency", latency_ms=0)
    tasks.configure()


@pytest.fixture
def shop(stage: Stage) -> Iterator[Celery]:
    """A producer that has Celery, and nothing of ours."""
    with Celery("shop", broker=stage.server.url, set_as_current=False) as app:
        yield app


def foreign(shop: Celery, batch: str, payload: dict[str, Any]) -> str:
    return str(shop.send_task(TASK_NAME, [payload], {"batch": batch}, queue=DEFAULT_QUEUE).id)


def name() -> str:
    return f"b-{uuid.uuid4()}"


def ended(stage: Stage, jobs: list[str]) -> list[str]:
    found = [str(stage.result(job)["status"]) for job in jobs]
    stage.drain()
    assert all(len(stage.results_of(job)) == 1 for job in jobs)
    return found


def waiting_for_its_retry(stage: Stage, batch: str) -> str:
    job = tasks.submit(faulty("sys_error"), batch=batch)
    until(lambda: stage.redis.hget(f"{DEFAULT_QUEUE}:job:{job}", "s") == b"waiting", "the job to wait")
    stage.redis.zadd(f"{DEFAULT_QUEUE}:waiting", {job: (time.time() + 3600) * 1000}, xx=True)
    return job


def waiting_for_its_eta(stage: Stage, batch: str) -> str:
    job = tasks.submit(faulty(), batch=batch, countdown=86400)
    until(lambda: stage.redis.zscore(f"{DEFAULT_QUEUE}:waiting", job), "the job to wait")
    return job


def test_a_batchs_jobs_end_wherever_they_wait(stage: Stage, shop: Celery) -> None:
    """In a list, among others in a message, for a retry or an ETA, a foreign one; not those added later."""
    batch, others = name(), name()
    waiting = [waiting_for_its_retry(stage, batch), waiting_for_its_eta(stage, batch)]
    stage.pause()
    items = [tasks.Submission(faulty(), batch=batch if n == 3 else others) for n in range(50)]
    many = list(tasks.submit_many(items))
    waiting += [many.pop(3), tasks.submit(faulty(), batch=batch), foreign(shop, batch, faulty())]
    assert batches.cancel(batch) == Cancelled(cancelled=5)
    # It may be called again; meanwhile the worker has ended some of them.
    assert batches.cancel(batch) in [Cancelled(cancelled=count) for count in range(6)]
    later = [tasks.submit(faulty(), batch=batch), foreign(shop, batch, faulty())]
    stage.redis.delete(PAUSED)
    assert ended(stage, waiting) == ["cancelled"] * 5
    assert ended(stage, [*later, *many]) == ["submitted"] * 51
    assert batches.cancel(batch) == Cancelled(bought=2)
    statuses = batches.close(batch).statuses
    assert (statuses["cancelled"], statuses["submitted"]) == (5, 2)
    assert batches.wait(batch, 10).finished


def test_what_is_being_sent_is_not_tried_again(stage: Stage) -> None:
    """Its attempt counts; where it is accepted the job is submitted."""
    batch = name()
    stage.result(stage.enqueue(faulty()))  # a worker's first attempt goes alone
    stage.vendor.set("latency", latency_ms=3000)
    failing, fine = faulty("sys_error"), faulty()
    jobs = [tasks.submit(payload, batch=batch) for payload in (failing, fine)]
    until(lambda: stage.sending() == 2, "both to be sent")
    assert batches.cancel(batch) == Cancelled(in_flight=2)
    until(lambda: stage.results_of(jobs[1]), "the answer")
    until(lambda: stage.redis.hget(f"{DEFAULT_QUEUE}:job:{jobs[0]}", "s") != b"sending", "the other answer")
    stage.redis.zadd(f"{DEFAULT_QUEUE}:waiting", {jobs[0]: 0}, xx=True)  # its retry is due
    assert ended(stage, jobs) == ["cancelled", "submitted"]
    assert len(stage.vendor.posts_of(failing)) == 1


def test_what_was_retried_by_an_operator_runs(stage: Stage) -> None:
    """A cancellation of before does not concern it."""
    batch = name()
    job = tasks.submit(faulty("unknown_code(400)*1"), batch=batch, unlisted=True)
    status = ended(stage, [job])[0]
    assert status in ("rejected", "exhausted")
    assert batches.cancel(batch) == Cancelled()
    tasks.cancel(job)
    assert run(["failed", "retry", job, "--yes"]) == 0
    until(lambda: len(stage.results_of(job)) == 2, "its second end")
    assert stage.results_of(job)[-1]["status"] == "submitted"


def test_a_workflows_jobs_end_and_others_go_on(
    stage: Stage, shop: Celery, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command; what is queued later is sent."""
    stage.pause()

    def of(workflow: str) -> dict[str, Any]:
        return faulty() | {"workflow": workflow}

    def by_celery(payload: dict[str, Any]) -> str:
        sent = shop.send_task(TASK_NAME, [payload], {"unlisted": True}, queue=DEFAULT_QUEUE)
        return str(sent.id)

    items = [tasks.Submission(of("ODD" if n < 2 else "OTHER"), unlisted=True) for n in range(5)]
    ids = list(tasks.submit_many(items, jobs_per_message=5))
    cancelled = [*ids[:2], by_celery(of("ODD"))]
    assert run(["cancel", "--workflow", "ODD", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"cancelled": 3, "inFlight": 0, "bought": 0, "unread": 0, "unknown": 0}
    rest = [*ids[2:], tasks.submit(of("ODD"), unlisted=True), by_celery(of("ODD"))]
    stage.redis.delete(PAUSED)
    assert ended(stage, cancelled) == ["cancelled"] * 3
    assert ended(stage, rest) == ["submitted"] * 5


def test_a_mark_alone_ends_what_was_stamped_before(stage: Stage) -> None:
    """Should the one who cancels die, workers go by the mark; a foreign job without a stamp is sent."""
    batch = name()
    stage.pause()
    job, unstamped = tasks.submit(faulty(), batch=batch), stage.enqueue(faulty(), batch=batch)
    marked_ms = int(time.time() * 1000)
    stage.redis.hset(f"{DEFAULT_QUEUE}:cancels", f"batch {batch}", marked_ms)
    # One without a stamp counts from its first claim, which must not be in the mark's millisecond.
    until(lambda: time.time() * 1000 > marked_ms + 1, "the next millisecond")
    stage.redis.delete(PAUSED)
    assert ended(stage, [job, unstamped]) == ["cancelled", "submitted"]


def test_the_command_says_what_was_too_late(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 then; the decision is on record."""
    bought = stage.enqueue(faulty())
    assert stage.result(bought)["status"] == "submitted"
    stage.pause()
    assert run(["cancel", bought, stage.enqueue(faulty())]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "cancelled: 1 job",
        "sent already, so not cancelled: 1",
    ]
    (entry,) = stage.redis.xrevrange(f"{DEFAULT_QUEUE}:decisions", count=1)
    assert b'"what": "cancel"' in entry[1][b"decision"]


@pytest.mark.parametrize("how", ["alone", "in a message", "by its key", "for later", "held up"])
def test_a_job_that_was_queued_is_no_unknown_one(
    stage: Stage, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """Wherever it waits, and also where no worker has seen it yet."""
    if how == "held up":
        stage.redis.sadd(PAUSED, "TEXT2IMAGE")
    elif how != "for later":  # which a worker has to take
        stage.pause()
    match how:
        case "in a message":
            job = list(tasks.submit_many([faulty()] * 5))[3]
        case "by its key":
            job = tasks.submit(faulty(), dedupe_key=name())
        case "for later":
            job = tasks.submit(faulty(), countdown=600)
        case _:
            job = tasks.submit(faulty())
    if how in ("for later", "held up"):
        until(lambda: not stage.redis.llen(DEFAULT_QUEUE), "a worker takes it")
    for _ in range(2):
        assert run(["cancel", job]) == 0
        assert capsys.readouterr().out == "cancelled: 1 job\n"
    stage.redis.delete(PAUSED)
    assert stage.result(job)["status"] == "cancelled"
    stage.drain()


def test_a_job_of_which_nothing_is_known_is_said_to_be_unknown(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name may be misspelt, and then the job that was meant is still bought; each time, and exit 1."""
    misspelt = name()
    for _ in range(2):
        assert run(["cancel", misspelt]) == 1
        assert capsys.readouterr().out.splitlines() == [
            "cancelled: 0 jobs",
            "unknown, and not in the queue: 1; cancelled should it come within a week",
        ]
    job = tasks.submit(faulty(), job_id=misspelt)
    assert stage.result(job)["status"] == "cancelled"
    stage.drain()


def test_a_batch_that_nobody_knows_is_a_failure(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name may be misspelt, and then the jobs that were meant are still bought."""
    assert run(["cancel", "--batch", "nightli"]) == 1
    assert "no job was queued in a batch nightli" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--batch", ""],
        ["--workflow", ""],
        ["--batch", "a b"],
        ["x", "--batch", "b"],
        ["--batch", "b", "--workflow", "W"],
        ["x" * 201],
    ],
)
def test_a_filter_that_says_nothing_is_refused(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2; nothing is cancelled."""
    assert run(["cancel", *args]) == 2
    assert capsys.readouterr().out == ""
