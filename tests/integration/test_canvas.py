"""What a shop hangs on a job with Celery: callbacks, chains and errbacks follow the job's end, once."""

from __future__ import annotations

import json
import uuid
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from celery import Celery, chain
from celery.canvas import Signature
from celery.contrib.testing.worker import start_worker

import tasks
from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS, TASK_NAME
from tests.conditions import until
from tests.integration.stage import Stage, faulty, logged, staged, working
from tests.redis_server import RedisServer
from worker.store.dead_letters import DeadLetters
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts

SHOP = "shop"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with working(MAX_ATTEMPTS=2, CALLBACK_QUEUE=SHOP) as stage:
        yield stage


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> None:
    if "stage" in request.fixturenames:
        request.getfixturevalue("stage").redis.delete(SHOP)


@pytest.fixture
def shop(stage: Stage) -> Iterator[Celery]:
    """A producer that has Celery, and nothing of ours."""
    with Celery("shop", broker=stage.server.url, set_as_current=False) as app:
        yield app


@pytest.fixture
def here(stage: Stage) -> Iterator[None]:
    """`tasks` of this process, set to the stage's Redis."""
    tasks.configure(redis_url=stage.server.url)
    yield
    tasks.configure()


def callbacks(stage: Stage, queue: str = SHOP) -> list[tuple[str, Any, dict[str, Any]]]:
    """What was sent to the shop, oldest first: task, its first argument, and headers."""
    found = []
    for raw in reversed(stage.redis.lrange(queue, 0, -1)):
        message = json.loads(raw)
        args, _, _ = json.loads(b64decode(message["body"]))
        found.append((message["headers"]["task"], args[0], message["headers"]))
    return found


def called(stage: Stage, queue: str = SHOP) -> list[tuple[str, Any]]:
    return [(task, argument) for task, argument, _ in callbacks(stage, queue)]


def send(shop: Celery, payload: dict[str, Any], **options: Any) -> str:
    """As any Celery client sends a job, with a callback and an errback that name no queue."""
    given = {"link": shop.signature("shop.done"), "link_error": shop.signature("shop.failed")} | options
    return str(shop.send_task(TASK_NAME, args=[payload], queue=DEFAULT_QUEUE, **given).id)


def test_a_callback_gets_the_result(stage: Stage, shop: Celery) -> None:
    """On success the callback has the result's fields, in the shop's queue; the errback is not called."""
    job = send(shop, faulty())
    until(lambda: stage.redis.llen(SHOP), "the callback")
    stage.drain()
    assert called(stage) == [("shop.done", stage.result(job))]
    assert stage.malformed() == []


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"workflow": "NOBODY_KNOWS"}, "rejected"),
        (faulty("param_error"), "rejected"),
        (faulty("sys_error"), "exhausted"),
        (faulty("reset"), "unknown"),
    ],
    ids=["invalid", "rejected", "exhausted", "unknown"],
)
def test_an_errback_follows_any_other_end(
    stage: Stage, shop: Celery, payload: dict[str, Any], status: str
) -> None:
    """It has the job's id, as Celery gives it, and the result in a header; no callback, no chain goes on."""
    job = send(shop, payload, chain=[shop.signature("shop.next")])
    until(lambda: stage.redis.llen(SHOP), "the errback")
    stage.drain()
    ((task, argument, headers),) = callbacks(stage)
    assert (task, argument) == ("shop.failed", job)
    assert headers["aigc-result"] == stage.result(job)
    assert tasks.JobFailed.of(headers["aigc-result"]).status == status


def test_a_job_that_is_retried_is_followed_once(stage: Stage, shop: Celery) -> None:
    """Neither callback nor errback while it waits for its next attempt; then the callback."""
    job = send(shop, faulty("sys_error*1"))
    until(lambda: stage.redis.llen(SHOP), "the callback")
    stage.drain()
    assert called(stage) == [("shop.done", stage.result(job))]
    assert stage.result(job)["attempts"] == 2


def test_a_chain_goes_on_with_the_task_id(stage: Stage, shop: Celery) -> None:
    """The next step of a chain gets the result, and the rest of the chain with it."""
    steps = [shop.signature(TASK_NAME, args=[faulty()], queue=DEFAULT_QUEUE), "shop.fetch", "shop.show"]
    first = chain(*(each if isinstance(each, Signature) else shop.signature(each) for each in steps))
    first.apply_async()
    until(lambda: stage.redis.llen(SHOP), "the next step")
    ((task, result, _),) = callbacks(stage)
    assert task == "shop.fetch"
    assert result["taskId"] == stage.result(result["jobId"])["taskId"] is not None
    ((_, _, embedded),) = [
        json.loads(b64decode(json.loads(raw)["body"])) for raw in stage.redis.lrange(SHOP, 0, -1)
    ]
    assert [each["task"] for each in embedded["chain"]] == ["shop.show"]


def test_a_duplicate_is_not_followed_again(stage: Stage, shop: Celery) -> None:
    """The same job queued twice has its callback called once, and so has one that is not valid."""
    for payload, task in ((faulty(), "shop.done"), ({"workflow": "NOBODY_KNOWS"}, "shop.failed")):
        stage.redis.delete(SHOP)
        job = str(uuid.uuid4())
        for _ in range(3):
            send(shop, payload, task_id=job)
        until(lambda: stage.redis.llen(SHOP), "what follows")
        stage.drain()
        assert [name for name, _ in called(stage)] == [task]


def test_a_job_that_an_operator_retries_is_followed_by_each_end_once(stage: Stage, shop: Celery) -> None:
    """Its errback is called when it fails first, and not again; its callback once it is submitted."""
    job = send(shop, faulty("sys_error*4"))

    def retried(times: int) -> None:
        until(lambda: len(stage.results_of(job)) == times, "the end")
        stage.drain()

    def retry() -> None:
        with closing(Scripts(stage.server.url, (DEFAULT_QUEUE, DEFAULT_RESULTS))) as scripts:
            letters = DeadLetters(scripts, KeyNames(DEFAULT_QUEUE, DEFAULT_RESULTS))
            letter = letters.get(job)
            assert letter is not None
            assert letters.retry(letter, "a test") == 1

    retried(1)
    assert called(stage) == [("shop.failed", job)]
    retry()
    retried(2)
    assert [each["status"] for each in stage.results_of(job)] == ["exhausted", "exhausted"]
    assert called(stage) == [("shop.failed", job)]
    retry()
    retried(3)
    assert called(stage) == [("shop.failed", job), ("shop.done", stage.result(job))]


def test_what_celery_cannot_send_harms_no_other(stage: Stage, shop: Celery) -> None:
    """A callback with senseless options is logged; the next one is called, and the worker goes on."""
    bad = shop.signature("shop.bad", countdown="soon")
    job = send(shop, faulty(), link=[bad, shop.signature("shop.done")])
    until(lambda: stage.redis.llen(SHOP), "the callback")
    stage.drain()
    assert called(stage) == [("shop.done", stage.result(job))]
    logged(stage.workers[0], f"job {job} has ended, but its callback shop.bad cannot be sent")


@pytest.mark.usefixtures("here")
def test_a_chain_of_our_jobs_stops_at_one_that_fails(stage: Stage) -> None:
    """The job after one that is rejected is never sent."""
    after = faulty()
    chain(tasks.signature({**faulty("param_error")}), tasks.signature(after)).apply_async()
    until(lambda: stage.results() and stage.results()[-1]["status"] == "rejected", "the first job")
    stage.drain()
    assert stage.vendor.posts_of(after) == []


@pytest.mark.usefixtures("here")
def test_our_producer_writes_the_shops_queue_into_callbacks(stage: Stage) -> None:
    """Callbacks go where the shop's own app would have sent them, whatever the worker's default is."""
    with Celery("other", broker=stage.server.url, set_as_current=False) as other:
        other.conf.update(task_default_queue="other", task_routes={"shop.slow": {"queue": "slow"}})
        tasks.submit(faulty(), link=[other.signature("shop.done"), other.signature("shop.slow")])
        chain(tasks.signature(faulty()), other.signature("shop.fetch")).apply_async()
        until(lambda: stage.redis.llen("other") == 2 and stage.redis.llen("slow") == 1, "the callbacks")
        assert {task for task, _ in called(stage, "other")} == {"shop.done", "shop.fetch"}
    assert stage.redis.llen(SHOP) == 0


@pytest.mark.usefixtures("here")
def test_a_shops_own_worker_goes_on_with_both(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A chain fetches by the task id that the vendor gave; a bound errback reads how the job ended."""
    found: dict[str, Any] = {}
    with Celery("real", broker=stage.server.url, set_as_current=False) as real:
        real.conf.update(task_default_queue="real", worker_hijack_root_logger=False)

        @real.task(name="real.fetch")  # type: ignore[untyped-decorator]
        def fetch(result: dict[str, Any]) -> None:
            found["fetched"] = result

        @real.task(name="real.failed", bind=True)  # type: ignore[untyped-decorator]
        def failed(self: Any, job_id: str) -> None:
            found["failed"] = tasks.JobFailed.of(self.request.get("aigc-result"))

        chain(tasks.signature(faulty()), fetch.s()).apply_async()
        job = tasks.submit(faulty("param_error"), link_error=failed.s())
        celerys_worker = start_worker(real, pool="solo", perform_ping_check=False, shutdown_timeout=60)
        with caplog.at_level("WARNING"), celerys_worker:  # which sets the root logger's level for good
            until(lambda: len(found) == 2, "both")
    assert found["fetched"] == stage.result(found["fetched"]["jobId"])
    assert (found["failed"].job_id, found["failed"].status) == (job, "rejected")


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_that_dies_before_the_callback_is_sent_loses_it_not(
    own_redis_server: RedisServer, pool: str
) -> None:
    """Its job has ended: whoever takes the message sends the callback, and buys nothing."""
    with (
        staged(own_redis_server) as stage,
        Celery("s", broker=stage.server.url, set_as_current=False) as shop,
    ):
        stage.redis.set("shop", "no list")  # so that no callback can be sent
        stage.worker("-P", pool, CALLBACK_QUEUE=SHOP)
        payload = faulty()
        job = send(shop, payload)
        result = stage.result(job)
        until(lambda: stage.held() == 1, "the message to be held")
        stage.workers[0].kill()
        stage.redis.delete("shop")
        stage.worker("-P", pool, CALLBACK_QUEUE=SHOP)
        until(lambda: stage.redis.llen(SHOP), "the callback")
        stage.drain()
        assert called(stage) == [("shop.done", result)]
        assert len(stage.vendor.posts_of(payload)) == len(stage.results_of(job)) == 1
