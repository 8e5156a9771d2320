"""Many jobs in one message share what is waited for, and nothing else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.contract import DEFAULT_QUEUE
from tasks.envelope import Job, encode, encode_batch
from tests.conditions import PATIENCE_S, until
from tests.integration.stage import Stage, faulty, staged, text
from tests.redis_server import RedisServer
from worker.local.inflight_folder import LogFolder

TOGETHER = 8


@pytest.fixture
def stage(own_redis_server: RedisServer) -> Iterator[Stage]:
    with staged(own_redis_server) as stage:
        yield stage


def open_connections(stage: Stage) -> None:
    """A worker that has open connections for as many attempts as it makes at a time."""
    stage.worker(CONCURRENCY=TOGETHER)
    stage.vendor.set("latency", latency_ms=200)
    send(stage, [faulty() for _ in range(2 * TOGETHER)])
    until(lambda: len(stage.results()) == 2 * TOGETHER, "the connections")
    stage.vendor.set("latency", latency_ms=0)


def send(stage: Stage, payloads: list[object]) -> list[str]:
    """One message of these jobs; their ids."""
    ids = [str(uuid.uuid4()) for _ in payloads]
    jobs = [Job(job_id, payload) for job_id, payload in zip(ids, payloads, strict=True)]  # type: ignore[arg-type]
    stage.redis.lpush(DEFAULT_QUEUE, encode_batch(jobs, DEFAULT_QUEUE, str(uuid.uuid4())))
    return ids


def test_a_worker_that_stops_without_redis_ends_whatever_waits_for_a_place(stage: Stage) -> None:
    """What a batch had in flight is left to its message; a job that waited for a slot of it ends as well."""
    open_connections(stage)
    stage.vendor.set("latency", latency_ms=1500)
    ids = send(stage, [faulty() for _ in range(3 * TOGETHER)])
    until(lambda: stage.vendor.get("stats")["in_flight"] == TOGETHER, "the POSTs")
    ids.append(stage.enqueue(faulty()))
    until(lambda: stage.held() == 2, "the single one to be in hand")
    stage.server.kill()
    assert stage.workers[0].terminate() == 0
    stage.server.start()
    stage.vendor.set("latency", latency_ms=0)
    stage.worker()
    assert {stage.result(job)["status"] for job in ids} == {"submitted"}
    assert stage.vendor.get("stats")["duplicates"] == 0


@pytest.mark.parametrize(
    ("rule", "status"), [("hang", "unknown"), ("slow(1500)", "submitted"), ("drip", "unknown")]
)
def test_an_answer_that_takes_its_time_holds_up_nobody(stage: Stage, rule: str, status: str) -> None:
    """The other jobs of the message have their results while one is still being answered."""
    open_connections(stage)
    slow, *others = send(stage, [faulty(rule), *(faulty() for _ in range(49))])
    until(lambda: all(stage.results_of(job) for job in others), "the others")
    assert not stage.results_of(slow)
    assert stage.result(slow)["status"] == status
    stage.drain()


def test_each_job_has_its_own_outcome(stage: Stage) -> None:
    """Accepted, refused, invalid, retried, slowed down and unknown: as if each had come alone."""
    open_connections(stage)
    ends = {
        "": ("submitted", 1), "param_error": ("rejected", 1), "sys_error*1": ("submitted", 2),
        "throttle*1": ("submitted", 1), "reset_after_accept": ("unknown", 1), "no_task_id": ("unknown", 1),
    }  # fmt: skip
    ids = send(
        stage, [*(faulty(rule) for rule in ends), {**faulty(), "workflow": "NOBODY_KNOWS"}, "no payload"]
    )
    found = [(stage.result(job)["status"], stage.result(job)["attempts"]) for job in ids]
    assert found == [*ends.values(), ("rejected", 0), ("rejected", 0)]
    stage.drain()
    assert len(stage.results()) == 2 * TOGETHER + len(ids)


def test_the_same_job_twice_in_one_message_is_sent_once(stage: Stage) -> None:
    """Both are claimed in one round trip, and one of them gets it."""
    open_connections(stage)
    payload = faulty("slow(300)")
    jobs = [
        Job("the-same", payload),
        *(Job(str(uuid.uuid4()), faulty()) for _ in range(4)),
        Job("the-same", payload),
    ]
    stage.redis.lpush(DEFAULT_QUEUE, encode_batch(jobs, DEFAULT_QUEUE, "a-batch"))
    assert stage.result("the-same")["status"] == "submitted"
    until(lambda: stage.queued() + stage.held() == 0, "the message to be done")
    assert len(stage.vendor.posts_of(payload)) == 1


def test_single_messages_go_together_and_canvases_alone(stage: Stage) -> None:
    """What hangs on a job starts when it has ended, though its neighbours share one delivery."""
    open_connections(stage)
    jobs = [stage.enqueue(faulty("slow(200)")) for _ in range(TOGETHER)]
    linked = str(uuid.uuid4())
    callback = {
        "task": "tests.next",
        "args": [],
        "kwargs": {},
        "options": {"queue": "next"},
        "immutable": True,
    }
    stage.put_body(json.dumps([[faulty()], {}, {"callbacks": [callback]}]), linked)
    jobs += [stage.enqueue(faulty()) for _ in range(TOGETHER)]
    assert {stage.result(job)["status"] for job in [*jobs, linked]} == {"submitted"}
    until(lambda: stage.redis.llen("next") == 1, "what was linked")
    stage.drain()
    assert stage.vendor.get("stats")["duplicates"] == 0


def test_what_was_delivered_together_is_given_back_one_by_one(stage: Stage) -> None:
    """A pause finds messages in hand: each is back in the queue, once, and is done after the pause."""
    open_connections(stage)
    stage.redis.sadd(f"{DEFAULT_QUEUE}:paused", "*")
    jobs = [stage.enqueue(faulty()) for _ in range(20)]
    until(lambda: stage.queued() == 20 and not stage.held(), "the messages to be back")
    stage.redis.delete(f"{DEFAULT_QUEUE}:paused")
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    stage.drain()
    assert stage.vendor.posts == 2 * TOGETHER + 20


def test_what_is_heard_while_redis_is_away_outlives_the_worker(stage: Stage) -> None:
    """Redis dies under a batch, then its worker: no task id that the vendor gave meanwhile is lost."""
    open_connections(stage)
    stage.vendor.set("latency", latency_ms=1000, jitter_ms=300)
    ids = send(stage, [faulty() for _ in range(TOGETHER)])
    until(lambda: stage.vendor.get("stats")["in_flight"] == TOGETHER, "the POSTs")
    stage.server.kill()
    file = next(Path(stage.directory).glob("in-flight-*"))

    def heard() -> int:
        found = LogFolder(None, "", "").read(file)
        return len(found.answered) if found else 0

    until(lambda: heard() == TOGETHER, "all answers to be noted")
    stage.workers[0].kill()
    stage.server.start()
    stage.worker()
    assert {stage.result(job)["status"] for job in ids} == {"submitted"}
    assert stage.vendor.posts == 3 * TOGETHER


def test_a_refused_answer_is_heard_though_the_worker_stops_in_an_outage(stage: Stage) -> None:
    """Redis is away only while the worker begins to stop: what the vendor said meanwhile is written down."""
    open_connections(stage)
    ids = send(stage, [*(faulty("slow(1500)") for _ in range(TOGETHER - 1)), *(faulty() for _ in range(40))])
    until(lambda: stage.vendor.get("stats")["in_flight"] >= TOGETHER - 1, "the POSTs")
    stage.server.kill()
    stage.workers[0].process.terminate()
    stage.server.start()
    assert stage.workers[0].process.wait(PATIENCE_S) == 0
    stage.worker()
    assert {stage.result(job)["status"] for job in ids} == {"submitted"}
    assert stage.vendor.get("stats")["duplicates"] == 0


def test_a_text_of_one_job_is_not_logged_with_another(stage: Stage) -> None:
    """The vendor quotes prompts in its refusals: each is masked, though many are in one thread's hands."""
    open_connections(stage)
    secrets = [f"[[param_error]] secret words number {number} {uuid.uuid4()}" for number in range(TOGETHER)]
    ids = send(stage, [text(secret) for secret in secrets])
    assert {stage.result(job)["status"] for job in ids} == {"rejected"}
    assert stage.workers[0].terminate() == 0
    log = stage.workers[0].output()
    assert log.count('"message":"job rejected"') == TOGETHER
    assert not [secret for secret in secrets if secret[16:] in log]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
@pytest.mark.parametrize("together", [True, False])
def test_a_job_whose_record_is_broken_harms_only_itself(stage: Stage, pool: str, together: bool) -> None:
    """Its claim fails in Redis: the other jobs are sent, and it is, too, once it is mended."""
    broken = str(uuid.uuid4())
    stage.redis.set(f"{DEFAULT_QUEUE}:job:{broken}", "no hash")
    ids = [*(str(uuid.uuid4()) for _ in range(3)), broken, *(str(uuid.uuid4()) for _ in range(3))]
    jobs = [Job(job_id, faulty()) for job_id in ids]
    messages = (
        [encode_batch(jobs, DEFAULT_QUEUE, "a")] if together else [encode(job, DEFAULT_QUEUE) for job in jobs]
    )
    stage.redis.lpush(DEFAULT_QUEUE, *messages)
    stage.worker("-P", pool, CONCURRENCY=2)
    assert {stage.result(job)["status"] for job in ids if job != broken} == {"submitted"}
    stage.redis.delete(f"{DEFAULT_QUEUE}:job:{broken}")
    assert stage.result(broken)["status"] == "submitted"
    stage.drain()
    assert stage.vendor.posts == len(ids)
