"""Three sentinels, a primary and two replicas; the primary is killed, and all go on with the new one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from celery import Celery

import tasks
from tasks import results
from tasks.contract import DEFAULT_RESULTS, RESULT_FIELD, TASK_NAME
from tests.conditions import PATIENCE_S, until
from tests.integration.stage import faulty, staged
from tests.quick_python import quick_aigc
from tests.sentinels import PRIMARY, Watched, watched
from tests.unit.tasks.samples import text_to_image

RESUMES_WITHIN_S = 30.0


@pytest.fixture
def sentinels() -> Iterator[Watched]:
    with watched() as found:
        tasks.configure(redis_url=found.url())
        yield found
        tasks.configure()


def _insisting(call: Callable[[], Any]) -> Any:
    """What it gives, once Redis takes it; as a producer's own loop would have it."""

    def attempt() -> Any:
        try:
            return [call()]
        except tasks.BrokerUnavailable:
            return None

    return until(attempt, "Redis to take it", RESUMES_WITHIN_S)[0]


def test_a_thousand_jobs_with_a_failover_amid_them(sentinels: Watched) -> None:
    """All are bought, once each by the vendor's own books, and each has one result."""
    with staged(sentinels.primary) as stage:
        for _ in range(2):
            stage.worker(REDIS_URL=sentinels.url(), CONCURRENCY=8, READ_TIMEOUT_S=30)
        stage.redis = client = sentinels.client()
        jobs = list(tasks.submit_many(faulty("slow(20)") for _ in range(1000)))
        until(lambda: len(stage.results()) > 200, "jobs to be under way")
        dead = sentinels.primary
        sentinels.replicated(client)
        dead.kill()
        sentinels.fail_over(dead)
        stage.redis = sentinels.client()
        jobs.append(_insisting(lambda: tasks.submit(faulty(), priority="high")))
        stage.result(jobs[-1], RESUMES_WITHIN_S)
        until(lambda: set(jobs) <= {result["jobId"] for result in stage.results()}, "all results")
        stage.drain()
        found = stage.results()
        assert [result for result in found if result["status"] != "submitted"] == []
        assert sorted(result["jobId"] for result in found) == sorted(jobs)
        bought = [result["taskId"] for result in found]
        assert len(set(bought)) == stage.vendor.get("stats")["accepted"] == len(jobs)
        assert [worker.process.poll() for worker in stage.workers] == [None, None]


def test_what_is_in_flight_is_settled_on_the_new_primary(sentinels: Watched) -> None:
    """Bought before the failover, known after it, and the callback of a job follows it there."""
    with staged(sentinels.primary) as stage:
        stage.worker(REDIS_URL=sentinels.url(), CONCURRENCY=8)
        stage.redis = client = sentinels.client()
        stage.result(tasks.submit(faulty()))
        payloads = [faulty("slow(3000)") for _ in range(8)]
        link = Celery(set_as_current=False).signature("shop.done", queue="shop")
        jobs = [tasks.signature(payload).apply_async(link=link).id for payload in payloads]
        until(lambda: stage.vendor.get("stats")["in_flight"] == 8, "all to be in flight")
        dead = sentinels.primary
        sentinels.replicated(client)
        dead.kill()
        sentinels.fail_over(dead)
        stage.redis = sentinels.client()
        assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
        until(lambda: stage.redis.llen("shop") == 8, "the callbacks")
        assert [len(stage.vendor.posts_of(payload)) for payload in payloads] == [1] * 8


def test_producers_go_on(sentinels: Watched) -> None:
    """Whichever way they enqueue: what was acknowledged and replicated is there, and what comes is taken."""
    celery_of_shop = Celery(broker=sentinels.celery_url(), set_as_current=False)
    celery_of_shop.conf.broker_transport_options = {"master_name": PRIMARY, "socket_timeout": 5}
    celery_of_shop.conf.task_publish_retry_policy = {"max_retries": 2}

    def by_celery() -> str:
        try:
            return str(celery_of_shop.send_task(TASK_NAME, [text_to_image()], queue="aigc").id)
        except Exception as error:  # kombu has many
            raise tasks.BrokerUnavailable(str(error)) from error

    ways: list[Callable[[], Any]] = [
        lambda: tasks.submit(text_to_image()),
        lambda: tasks.submit(text_to_image(), countdown=60),
        lambda: tasks.signature(text_to_image()).apply_async(),
        lambda: list(tasks.submit_many([text_to_image()])),
        lambda: asyncio.run(tasks.submit_async(text_to_image())),
        by_celery,
    ]
    for way in ways:
        way()
    before = sentinels.client()
    assert before.llen("aigc") == len(ways)
    dead = sentinels.primary
    sentinels.replicated(before)
    dead.kill()
    for way in ways:
        _insisting(way)
    sentinels.fail_over(dead)
    assert sentinels.client().llen("aigc") >= 2 * len(ways)
    celery_of_shop.close()


class _Readers:
    """A thread for each way to read; what each has heard, up to the job "last", and what is waited for."""

    def __init__(self) -> None:
        ways = ("listen", "consume", "replay", "alisten", "aconsume")
        self.heard: dict[str, list[str]] = {way: [] for way in ways}
        self.waited: list[str] = []

    def start(self) -> list[Thread]:
        patience: dict[str, Any] = {"idle_timeout_s": 3 * PATIENCE_S}
        runs: list[Callable[[], None]] = [
            lambda: self._read("listen", results.listen(**patience)),
            lambda: self._read("consume", results.consume("g", **patience)),
            lambda: self._read("replay", results.replay(follow=True, **patience)),
            lambda: asyncio.run(self._read_async("alisten", results.alisten(**patience))),
            lambda: asyncio.run(self._read_async("aconsume", results.aconsume("h", **patience))),
            lambda: self._wait("first"),
            lambda: self._wait("last"),
        ]
        threads = [Thread(target=run, daemon=True) for run in runs]
        for thread in threads:
            thread.start()
        return threads

    def _read(self, way: str, found: Any) -> None:
        for result in found:
            self.heard[way].append(result.job_id)
            if result.job_id == "last":
                return

    async def _read_async(self, way: str, found: Any) -> None:
        async for result in found:
            self.heard[way].append(result.job_id)
            if result.job_id == "last":
                return

    def _wait(self, job_id: str) -> None:
        self.waited.append(results.wait(job_id, timeout_s=3 * PATIENCE_S).job_id)


def test_readers_go_on(sentinels: Watched) -> None:
    """Each result once, however it is read, though the primary is killed under all of them."""
    readers = _Readers()
    threads = readers.start()

    def all_have_heard(*jobs: str) -> bool:
        return all(heard == list(jobs) for heard in readers.heard.values())

    def is_subscribed() -> bool:
        return bool(client.pubsub_numsub(DEFAULT_RESULTS)[0][1] == 3)  # listen, alisten and wait

    client = sentinels.client()
    until(is_subscribed, "all subscriptions")
    _publish(client, "first")
    until(lambda: all_have_heard("first"), "the first result, everywhere")
    # To wait bears an outage only once it has begun, which is after its subscription: both share that.
    until(lambda: readers.waited == ["first"], "the first one that is waited for")
    until(lambda: _acknowledged(client) == 2, "its acknowledgements")
    dead = sentinels.primary
    sentinels.replicated(client)
    dead.kill()
    sentinels.fail_over(dead)
    client = sentinels.client()
    until(is_subscribed, "all subscriptions", RESUMES_WITHIN_S)
    _publish(client, "last")
    until(lambda: all_have_heard("first", "last"), f"the last result: {readers.heard}")
    until(lambda: readers.waited == ["first", "last"], "the one that waits")
    for thread in threads:
        thread.join(5)


def test_commands_go_on(sentinels: Watched) -> None:
    """They ask the sentinels as everything else does; what the old primary was told, the new one knows."""
    job = json.dumps({"id": "a", "payload": text_to_image()})
    assert _aigc(sentinels, "submit", "-", stdin=job).returncode == 0
    dead = sentinels.primary
    sentinels.replicated(sentinels.client())
    dead.kill()
    sentinels.fail_over(dead)
    queued = _aigc(sentinels, "status", "--json")
    assert json.loads(queued.stdout)["jobs"]["queued"]["aigc"]["messages"] == 1, queued.stderr
    assert _aigc(sentinels, "cancel", "a").returncode == 0
    assert f"the sentinels name 127.0.0.1:{sentinels.primary.port}" in _aigc(sentinels, "doctor").stdout


def test_a_primary_that_comes_back_is_a_replica(sentinels: Watched) -> None:
    """Nobody writes to it, and it has what the new one was given meanwhile."""
    dead = sentinels.primary
    tasks.submit(text_to_image())
    sentinels.replicated(sentinels.client())
    dead.kill()
    sentinels.fail_over(dead)
    _insisting(lambda: tasks.submit(text_to_image()))
    dead.start()
    back: Any = dead.client()
    until(lambda: back.role()[0] == b"slave", "the old primary to be a replica")
    until(lambda: back.llen("aigc") == 2, "what it missed")

    def is_written_to_the_new_one() -> bool:
        job = _insisting(lambda: tasks.submit(text_to_image()))
        return any(job.encode() in raw for raw in sentinels.client().lrange("aigc", 0, -1))

    # Not once only: on a busy machine the sentinels may fail over again, and lose what was just written.
    until(is_written_to_the_new_one, "a job that the new primary has")


def test_passwords_of_redis_and_of_the_sentinels() -> None:
    """Each has its own: Redis's stands before the hosts, that of the sentinels is an option."""
    with Watched({"requirepass": "p@ss"}, {"auth-pass": "p@ss", "requirepass": "s3cret"}) as found:
        url = found.url(":p%40ss@", "?sentinel_password=s3cret")
        tasks.configure(redis_url=url)
        try:
            tasks.submit(text_to_image())
            tasks.signature(text_to_image()).apply_async()
            shop = Celery(broker=f"sentinel://:p%40ss@{found.celery_url()[11:]}", set_as_current=False)
            shop.conf.broker_transport_options = {
                "master_name": PRIMARY,
                "sentinel_kwargs": {"password": "s3cret"},
            }
            shop.send_task(TASK_NAME, [text_to_image()], queue="aigc")
            shop.close()
            assert found.client().llen("aigc") == 3
            tasks.configure(redis_url=found.url(":p%40ss@"))
            with pytest.raises(tasks.BrokerUnavailable, match="wants a password: sentinel_password"):
                tasks.submit(text_to_image())
            tasks.configure(redis_url=found.url(":p%40ss@", "?sentinel_password=wrong"))
            with pytest.raises(tasks.BrokerUnavailable, match="refuses sentinel_username or") as caught:
                tasks.submit(text_to_image())
            assert "wrong" not in str(caught.value)
            tasks.configure(redis_url=found.url(query="?sentinel_password=s3cret"))
            with pytest.raises(tasks.BrokerUnavailable, match="Redis wants a password"):
                tasks.submit(text_to_image())
        finally:
            tasks.configure()


def _aigc(sentinels: Watched, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"AIGC_REDIS_URL": sentinels.url(), "AIGC_ACCESS_KEY": "a", "AIGC_SECRET_KEY": "s"}
    return subprocess.run(
        [quick_aigc(), *arguments],
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def _publish(client: Any, job_id: str) -> None:
    text = tasks.Result(
        job_id, "submitted", "t", "TEXT2IMAGE", "1.0.0", 1, "r", None, None, False, "2026-11-22T22:31:33.123Z"
    ).to_json()
    client.xadd(DEFAULT_RESULTS, {RESULT_FIELD: text})
    client.publish(DEFAULT_RESULTS, text)


def _acknowledged(client: Any) -> int:
    """How many groups have read and acknowledged everything."""
    groups: Any = client.xinfo_groups(DEFAULT_RESULTS)
    return sum((group["entries-read"], group["pending"]) == (1, 0) for group in groups)
