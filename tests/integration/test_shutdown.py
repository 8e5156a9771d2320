"""How a worker ends: what is in flight is finished, the rest stays; and how it refuses to start."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator

import pytest

from tasks.contract import DEFAULT_QUEUE
from tasks.envelope import Job, encode_batch
from tests.conditions import PATIENCE_S, until
from tests.integration.stage import KEYS, Stage, Worker, faulty, logged, staged
from tests.redis_server import RedisServer


@pytest.fixture
def stage(own_redis_server: RedisServer) -> Iterator[Stage]:
    with staged(own_redis_server) as stage:
        yield stage


def test_in_flight_is_finished_and_the_rest_stays(stage: Stage) -> None:
    """Told to stop, a worker settles its POSTs, begins no other, gives back the rest, exits with 0."""
    stage.vendor.set("latency", latency_ms=3000)
    payloads = [faulty() for _ in range(30)]
    worker = stage.worker(CONCURRENCY=4)
    stage.result(stage.enqueue(faulty()))
    jobs = [stage.enqueue(payload) for payload in payloads]
    until(lambda: stage.vendor.get("stats")["in_flight"] == 4, "the POSTs")
    assert worker.terminate() == 0
    done = len(stage.results()) - 1
    assert done == stage.vendor.posts - 1 == 4
    assert stage.queued() == len(jobs) - done
    assert stage.held() + stage.sending() + len(stage.living()) == 0
    assert {result["status"] for result in stage.results()} == {"submitted"}
    stage.vendor.set("latency", latency_ms=0)
    stage.worker()
    until(lambda: len(stage.results()) == len(jobs) + 1, "the rest")
    assert stage.vendor.get("stats")["duplicates"] == 0


def test_a_batch_is_stopped_in_its_middle(stage: Stage) -> None:
    """Of a batch that is half done the rest is done by the next worker, and nothing twice."""
    stage.vendor.set("latency", latency_ms=300)
    jobs = [Job(str(uuid.uuid4()), faulty()) for _ in range(50)]
    worker = stage.worker(CONCURRENCY=4)
    stage.result(stage.enqueue(faulty()))
    stage.redis.lpush(DEFAULT_QUEUE, encode_batch(jobs, DEFAULT_QUEUE, "a-batch"))
    until(lambda: len(stage.results()) > 4, "some results")
    assert worker.terminate() == 0
    assert stage.vendor.posts == len(stage.results()) < 51
    stage.vendor.set("latency", latency_ms=0)
    stage.worker()
    until(lambda: len(stage.results()) == 51, "the rest")
    stats = stage.vendor.get("stats")
    assert (stats["duplicates"], stats["max_in_flight"]) == (0, 4)


@pytest.mark.parametrize("batched", [False, True])
def test_concurrency_is_respected(stage: Stage, batched: bool) -> None:
    """As many attempts in flight as the setting says: no more with batches, and no fewer."""
    stage.vendor.set("latency", latency_ms=100)
    jobs = [Job(str(uuid.uuid4()), faulty()) for _ in range(40)]
    stage.worker(CONCURRENCY=5)
    if batched:
        for part in (jobs[:20], jobs[20:]):
            stage.redis.lpush(DEFAULT_QUEUE, encode_batch(part, DEFAULT_QUEUE, str(uuid.uuid4())))
    else:
        for job in jobs:
            stage.enqueue(job.payload, job.id)
    until(lambda: len(stage.results()) == 40, "the results")
    assert stage.vendor.get("stats")["max_in_flight"] == 5


def test_a_stopping_worker_goes_on_beating(stage: Stage) -> None:
    """A worker that finishes a slow POST while it stops is not silent, so nobody takes its job over."""
    worker = stage.worker(READ_TIMEOUT_S=60)
    job = stage.enqueue(faulty("slow(8000)"))
    until(lambda: stage.vendor.posts == 1, "the POST")
    worker.process.terminate()
    logged(worker, "Warm shutdown")
    (name,) = stage.living()
    asked_at = stage.redis.zscore("aigc:workers", name)
    try:
        until(lambda: (stage.redis.zscore("aigc:workers", name) or 0) > asked_at, "a heartbeat")
    finally:
        assert stage.result(job)["status"] == "submitted"
        assert worker.process.wait(PATIENCE_S) == 0


WRONG = {
    "ACCESS_KEY": "", "SECRET_KEY": "", "MAX_ATTEMPTS": "0", "CONCURRENCY": "many", "READ_TIMEOUT_S": "-1",
    "REDIS_URL": "http://x", "ENDPOINT": "http://vendor.example.com", "ON_UNKNOWN": "perhaps",
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_named(stage: Stage, name: str) -> None:
    """Plain Celery's command line, too, ends with the variable's name: no traceback, no secret, not 0."""
    worker = stage.worker(**{name: WRONG[name]})
    assert worker.process.wait(PATIENCE_S) not in (0, -signal.SIGKILL)
    output = worker.output()
    assert f"AIGC_{name}" in output
    assert "Traceback" not in output
    assert KEYS.secret_key not in output


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "HTTPS_PROXY"])
def test_a_wrong_proxy_or_bundle_ends_the_start(stage: Stage, variable: str) -> None:
    """What the vendor client cannot be made of stops the program at start as cleanly as a wrong setting."""
    worker = Worker(stage.env(ENDPOINT="https://vendor.example.com") | {variable: "/does/not/exist"})
    stage.workers.append(worker)
    assert worker.process.wait(PATIENCE_S) not in (0, -signal.SIGKILL)
    assert "Traceback" not in worker.output()
    assert "aigc: the environment's" in worker.output()


def test_no_secret_in_log_or_redis(stage: Stage) -> None:
    """At the most talkative level, through success, fault and refusal, no secret is written anywhere."""
    worker = stage.worker(LOG_LEVEL="DEBUG")
    for rule in ("", "sys_error*1", "reset", "auth_error*1", "param_error"):
        stage.result(stage.enqueue(faulty(rule)))
    stage.enqueue({"workflow": KEYS.secret_key})
    stage.drain()
    assert worker.terminate() == 0
    assert KEYS.secret_key not in worker.output()
    dump = b"".join(stage.redis.dump(key) or b"" for key in stage.redis.scan_iter() if b"shelf" not in key)
    assert b"X-Request-Sign" not in dump


def test_another_queue_and_other_results(stage: Stage) -> None:
    """Names are settings: a worker reads its own queue, and tells where it is told to."""
    stage.worker(QUEUE="shop", RESULTS="shop.results")
    stage.enqueue(faulty())
    stage.redis.rename(DEFAULT_QUEUE, "shop")
    until(lambda: stage.redis.xlen("shop.results") == 1, "the result")
    assert not stage.redis.exists("aigc:results")


def test_a_prefork_worker_buys_nothing_more_once_it_stops(stage: Stage) -> None:
    """Its processes hear of it: what is in flight is finished, and the rest goes back."""
    stage.vendor.set("latency", latency_ms=1500)
    worker = stage.worker("-P", "prefork", CONCURRENCY=2, READ_TIMEOUT_S=10)
    jobs = [stage.enqueue(faulty()) for _ in range(12)]
    until(lambda: len(stage.results()) >= 2, "the first jobs")
    until(lambda: stage.vendor.get("stats")["in_flight"] == 2, "two in flight")
    posts = stage.vendor.posts
    assert worker.terminate() == 0
    assert stage.vendor.posts <= posts + 2
    assert len(stage.results()) == stage.vendor.posts
    assert stage.queued() + stage.waiting() == len(jobs) - len(stage.results())
