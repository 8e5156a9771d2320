"""What a dead worker leaves behind: taken over quickly where it is dead, left alone where it is slow."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS
from tests.conditions import until
from tests.integration.stage import Stage, Worker, faulty, staged
from tests.redis_server import RedisServer
from worker.store import workers as registry
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts


@pytest.fixture
def stage(redis_server: RedisServer) -> Iterator[Stage]:
    """Of a test that does not run beside others."""
    with staged(redis_server) as stage:
        yield stage


def results_beyond(stage: Stage, count: float) -> bool:
    return len(stage.results()) > count


def children(worker: Worker) -> list[int]:
    """The process ids of a worker's pool."""
    listed = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


@pytest.mark.parametrize(
    ("policy", "status", "posts"), [("hold", "unknown", 1), ("resubmit", "submitted", 2)]
)
def test_killed_while_sending(stage: Stage, policy: str, status: str, posts: int) -> None:
    """A neighbour sees at once that the process is gone: the attempt is unknown, and the policy decides."""
    dead = stage.worker(READ_TIMEOUT_S=60)
    payload = faulty("hang(60)*1")
    job = stage.enqueue(payload)
    until(lambda: len(stage.vendor.posts_of(payload)) == 1, "the POST")
    dead.kill()
    stage.worker(ON_UNKNOWN=policy)
    result = stage.result(job)
    posted = stage.vendor.posts_of(payload)
    assert (result["status"], result["attempts"], len(posted)) == (status, posts, posts)
    assert result["possibleDuplicate"] is (policy == "resubmit")
    assert result["requestId"] == posted[-1]["requestId"]
    if policy == "hold":
        assert result["errorCode"] == "AIGC_WORKER_LOST"
    until(stage.idle, "nothing to be left")
    assert len(stage.results_of(job)) == 1


def test_killed_with_a_backlog_in_hand(stage: Stage) -> None:
    """Jobs that a dead worker held but had not begun are new: sent once, as if nothing had been."""
    dead = stage.worker(CONCURRENCY=1, READ_TIMEOUT_S=60)
    first = faulty("hang(60)*1")
    stage.enqueue(first)
    rest = [faulty() for _ in range(5)]
    jobs = [stage.enqueue(payload) for payload in rest]
    until(lambda: stage.vendor.posts == 1 and stage.held() > 0, "the POST")
    dead.kill()
    stage.worker()
    for job in jobs:
        result = stage.result(job)
        assert (result["status"], result["attempts"], result["possibleDuplicate"]) == ("submitted", 1, False)
    assert [len(stage.vendor.posts_of(payload)) for payload in rest] == [1] * 5


def test_killed_after_settling(stage: Stage) -> None:
    """What was settled stays so: a successor finds nothing to do."""
    dead = stage.worker()
    jobs = [stage.enqueue(faulty()) for _ in range(20)]
    for job in jobs:
        stage.result(job)
    dead.kill()
    stage.worker()
    stage.result(stage.enqueue(faulty()))
    until(stage.idle, "nothing to be left")
    assert stage.vendor.posts == len(stage.results()) == len(jobs) + 1


def test_kills_at_random_lose_and_double_nothing(stage: Stage) -> None:
    """Of many jobs under repeated kills each has one ending, and the vendor accepted none twice."""
    jobs = [stage.enqueue(faulty()) for _ in range(300)]
    stage.vendor.set("latency", latency_ms=5, jitter_ms=10)
    for round_ in range(4):
        worker = stage.worker(CONCURRENCY=8)
        enough = len(stage.results()) + 10 * round_
        until(partial(results_beyond, stage, enough), "some results")
        worker.kill()
    stage.worker()
    until(lambda: len(stage.results()) >= len(jobs), "all results")
    until(stage.idle, "nothing to be left")
    assert sorted(result["jobId"] for result in stage.results()) == sorted(jobs)
    assert stage.vendor.get("stats")["duplicates"] == 0
    told = {result["taskId"] for result in stage.results() if result["status"] == "submitted"}
    billed = {post["taskId"] for post in stage.vendor.get("ledger")}
    assert told <= billed
    assert len(billed - told) <= sum(result["status"] == "unknown" for result in stage.results())


def test_a_frozen_worker_is_fenced_and_its_late_acceptance_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker declared dead while frozen wakes with a task id: published, and the only one."""
    frozen = stage.worker(READ_TIMEOUT_S=60)
    payload = faulty("slow(5000)")
    job = stage.enqueue(payload)
    until(lambda: len(stage.vendor.posts_of(payload)) == 1, "the POST")
    os.kill(frozen.process.pid, signal.SIGSTOP)
    (owner,) = stage.living()
    monkeypatch.setattr(registry, "SILENCE_S", 0.5)
    keys = KeyNames(DEFAULT_QUEUE, DEFAULT_RESULTS)
    neighbour = registry.WorkerRegistry(Scripts(stage.server.url, (keys.queue, keys.results)), keys)
    neighbour.join()
    neighbour.beat(looks_at_queue=False)
    until(neighbour.dead, "the neighbour to lose patience")
    for dead in neighbour.dead():
        neighbour.take_over(dead)
    neighbour.leave()
    stage.worker()
    first = stage.result(job)
    os.kill(frozen.process.pid, signal.SIGCONT)
    assert (first["status"], first["errorCode"]) == ("unknown", "AIGC_WORKER_LOST")
    late = until(lambda: stage.results_of(job)[1:], "the late acceptance")[0]
    (post,) = stage.vendor.posts_of(payload)
    assert (late["status"], late["taskId"], late["possibleDuplicate"]) == ("submitted", post["taskId"], True)
    until(lambda: len(stage.living()) == 2, "the woken worker under a new name")
    assert owner not in stage.living()
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"
    until(stage.idle, "nothing to be left")
    assert len(stage.results_of(job)) == 2


def test_the_prefork_pool_is_used_where_it_is_asked_for(stage: Stage) -> None:
    """`-P prefork`, Celery's own name for it, is not overruled by our default pool."""
    worker = stage.worker("-P", "prefork", CONCURRENCY=2)
    stage.result(stage.enqueue(faulty()))
    assert len(children(worker)) == 2


def test_a_slow_worker_is_left_alone(stage: Stage) -> None:
    """However slow the vendor is, a worker that beats keeps its job, and its name."""
    stage.worker(READ_TIMEOUT_S=60)
    payload = faulty("slow(7000)")
    job = stage.enqueue(payload)
    until(lambda: len(stage.vendor.posts_of(payload)) == 1, "the POST")
    before = dict(stage.redis.zrange("aigc:workers", 0, -1, withscores=True))
    stage.worker()
    result = stage.result(job)
    assert (result["status"], result["attempts"], result["possibleDuplicate"]) == ("submitted", 1, False)
    (name,) = before
    assert stage.redis.zscore("aigc:workers", name) > before[name]


def test_a_prefork_pool_works_in_parallel(stage: Stage) -> None:
    """Two children, two POSTs at once."""
    stage.worker("--pool", "processes", CONCURRENCY=2)
    stage.vendor.set("latency", latency_ms=200)
    jobs = [stage.enqueue(faulty()) for _ in range(10)]
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    until(stage.idle, "nothing to be left")
    assert stage.vendor.get("stats")["max_in_flight"] == 2


def test_a_killed_prefork_child_is_survived(stage: Stage) -> None:
    """The attempt of a child that was killed is unknown, posted once; the worker goes on with another."""
    worker = stage.worker("--pool", "processes", CONCURRENCY=1, READ_TIMEOUT_S=60)
    payload = faulty("hang(60)*1")
    job = stage.enqueue(payload)
    until(lambda: len(stage.vendor.posts_of(payload)) == 1, "the POST")
    (child,) = children(worker)
    os.kill(child, signal.SIGKILL)
    assert stage.result(stage.enqueue(faulty()))["status"] == "submitted"

    # The message may come back before the child is known to be dead: then it waits to be looked at again.
    def ended() -> bool:
        stage.redis.zadd("aigc:waiting", {job: 1}, xx=True)
        return bool(stage.results_of(job))

    until(ended, "the killed child's job to end")
    assert stage.result(job)["status"] == "unknown"
    assert len(stage.vendor.posts_of(payload)) == 1


def test_a_misconfigured_prefork_pool_does_not_spin(stage: Stage) -> None:
    """Children that learn of a wrong key stop the intake of the whole worker: few POSTs, few deliveries."""
    worker = stage.worker("--pool", "processes", CONCURRENCY=2, SECRET_KEY="wrong-secret-of-tests")
    for _ in range(30):
        stage.enqueue(faulty())
    until(lambda: "intake pauses" in worker.output(), "the pause")

    def spent() -> tuple[int, float]:
        said = stage.redis.info()
        return int(said["total_commands_processed"]), float(said["server_time_usec"]) / 1e6

    before, began = spent()
    until(lambda: spent()[1] - began >= 2, "two seconds")
    commands, now = spent()
    assert (commands - before) / (now - began) < 800
    assert stage.vendor.posts < 10


def test_the_solo_pool_works(stage: Stage) -> None:
    """One job at a time in the main thread, batches and retries too; ends cleanly."""
    worker = stage.worker("-P", "solo")
    jobs = [stage.enqueue(faulty(rule)) for rule in ("", "sys_error*2", "reset")]
    assert [stage.result(job)["status"] for job in jobs] == ["submitted", "submitted", "unknown"]
    until(stage.idle, "nothing to be left")
    assert worker.terminate() == 0
