"""During an upgrade: what only a later version wrote is left to its workers, and nothing is bought for it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tasks
from tasks.contract import Status
from tasks.result import Result
from tests.integration.journal import JOB, KEYS, JournalWorker
from tests.redis_server import RedisServer
from worker.domain.outcome import OutcomeKind
from worker.local import process_identity
from worker.local.inflight_folder import LogFolder
from worker.local.inflight_log import InflightLog
from worker.maintenance.recoverer import Recoverer
from worker.store.dead_letters import DeadLetters
from worker.store.decisions import OperatorDecision, Verb, decide
from worker.store.delayed import finish
from worker.store.linked import LinkedJobs
from worker.store.queue import MessageQueue
from worker.store.recovery import Recovery
from worker.store.stats import stats
from worker.store.values import ClaimVerdict, Feedback, Settlement
from worker.store.workers import WorkerRegistry

BOUGHT = Result(JOB.id, "submitted", "task-1", "TEXT2IMAGE", "1.0.0", 1, None, None, None, False, "now")
REJECTED = replace(BOUGHT, status="rejected", task_id=None)
UNCOUNTED = Feedback(counted=False, vendor_works=None)
RECORD = KEYS.job(JOB.id)


@pytest.fixture
def workers(redis_server: RedisServer) -> Iterator[list[JournalWorker]]:
    some = [JournalWorker(redis_server) for _ in range(2)]
    yield some
    for worker in some:
        worker.redis.close()


@pytest.fixture
def worker(workers: list[JournalWorker]) -> JournalWorker:
    return workers[0]


def recoverer(worker: JournalWorker, folder: LogFolder, gone: str) -> Recoverer:
    worker.registry = WorkerRegistry(worker.scripts, KEYS, lambda identity: identity == gone)
    worker.registry.join()
    queue = MessageQueue(worker.scripts, KEYS, worker.registry, lambda _: None, threading.Event())
    recovery = Recovery(worker.scripts, KEYS, worker.job_store.store)
    return Recoverer(worker.registry, worker.scripts, recovery, queue, folder, InflightLog(None, 1))


def newer(result: Result) -> str:
    return json.dumps({**json.loads(result.to_json()), "schema": 2})


def test_a_job_in_a_state_of_a_later_version_is_not_sent(worker: JournalWorker) -> None:
    """It may have been bought: its message waits, and neither a refusal nor another run ends it."""
    worker.redis.hset(RECORD, mapping={"s": "in-review", "n": 1})
    before = worker.redis.hgetall(RECORD)
    assert worker.claim().verdict is ClaimVerdict.BUSY
    delivery = worker.hold()
    refused = Settlement(JOB, delivery, None, REJECTED, OutcomeKind.REJECTED, UNCOUNTED)
    assert worker.job_store.settle(refused) == "stale"
    worker.job_store.look_again(JOB, delivery, 0.0)
    assert worker.redis.hget(KEYS.delayed_messages, JOB.id)
    after = worker.redis.hgetall(RECORD)
    assert {name: after[name] for name in before} == before


def test_nor_does_its_producer_learn_that_it_is_cancelled(
    worker: JournalWorker, redis_server: RedisServer
) -> None:
    """`cancel` says False, as of a job that was bought."""
    tasks.configure(redis_url=redis_server.url)
    worker.redis.hset(RECORD, mapping={"s": "in-review", "n": 1})
    assert not tasks.cancel(JOB.id)
    assert worker.redis.hget(RECORD, "c") is None


@pytest.mark.parametrize("status", ["unknown", "exhausted"])
def test_an_attempt_without_a_purchase_does_not_overrule_it(worker: JournalWorker, status: Status) -> None:
    """Though the record does not name the attempt any more: the later version may keep it elsewhere."""
    delivery, claim = worker.hold(), worker.claim()
    worker.redis.hset(RECORD, "s", "in-review")
    worker.redis.hdel(RECORD, "r")
    assert worker.settle(delivery, claim, status) == "stale"
    assert worker.redis.hget(RECORD, "s") == b"in-review"
    assert worker.redis.xlen(KEYS.results) == 0


def test_an_attempt_that_was_accepted_is_told_nevertheless(worker: JournalWorker) -> None:
    """It is what the money was paid for."""
    delivery, claim = worker.hold(), worker.claim()
    worker.redis.hset(RECORD, "s", "in-review")
    assert worker.settle(delivery, claim, "submitted", "task-1") == "late"


@pytest.mark.parametrize("verb", ["retry", "discard", "accept"])
@pytest.mark.parametrize("status", ["unknown", "exhausted"])
def test_a_dead_letter_in_a_state_of_a_later_version_is_left_to_its_operators(
    worker: JournalWorker, status: Status, verb: Verb
) -> None:
    """Neither its message nor its place among the dead letters is lost to a decision by this version."""
    worker.settle(worker.hold(), worker.claim(), status)
    letters = DeadLetters(worker.scripts, KEYS)
    letter = letters.get(JOB.id)
    assert letter is not None
    worker.redis.hset(RECORD, "s", "in-review")
    assert decide(letters, letter, OperatorDecision(verb, "me", "task-1")) == "gone"
    assert letters.get(JOB.id) == letter
    assert letters.job(JOB.id)["payload"] == JOB.payload
    assert worker.redis.llen(KEYS.queue) == 0
    worker.redis.hset(RECORD, "s", status)
    assert decide(letters, letter, OperatorDecision("retry", "me")) == "done"


def _leave_steps(worker: JournalWorker, steps: str, kind: str = "ending") -> None:
    """A job that was settled, of which these steps are left."""
    delivery, claim = worker.hold(), worker.claim()
    result = replace(BOUGHT, request_id=claim.request_id)
    end = Settlement(JOB, delivery, claim, result, OutcomeKind.ACCEPTED, Feedback(True, True))
    assert worker.job_store.settle(end) == "settled"
    fact = {"state": "accepted", "status": "submitted", "tag": ""}
    left = {"kind": kind, "job_id": JOB.id, "record_key": RECORD, "fact": fact, "of_later": {"a": 1}}
    left |= {"results": KEYS.results, "result": result.to_json()}
    left |= {"limits": {"keep_s": 60, "results_maxlen": 9}}
    worker.redis.persist(RECORD)
    worker.redis.hset(RECORD, mapping={"p": steps, "j": json.dumps(left)})
    worker.redis.sadd(KEYS.unfinished, JOB.id)


def test_steps_that_a_later_version_left_are_left_to_it(worker: JournalWorker) -> None:
    """What is known of them is done, once; the rest, and how long the record is kept, stays noted."""
    _leave_steps(worker, "invoice publish stream keep")
    assert worker.redis.xlen(KEYS.results) == 1
    for _ in range(2):
        finish(worker.scripts)
        assert worker.redis.xlen(KEYS.results) == 2
        assert worker.redis.hget(RECORD, "p") == b"invoice keep"
        assert json.loads(worker.redis.hget(RECORD, "j"))["of_later"] == {"a": 1}
        assert worker.redis.sismember(KEYS.unfinished, JOB.id)
        assert worker.redis.ttl(RECORD) == -1
    assert worker.claim().verdict is ClaimVerdict.SETTLED


def test_steps_of_a_kind_of_a_later_version_are_left_to_it(worker: JournalWorker) -> None:
    """They harm neither the job's next message nor the steps of others."""
    _leave_steps(worker, "invoice", kind="invoicing")
    finish(worker.scripts)
    assert worker.redis.hget(RECORD, "p") == b"invoice"
    assert worker.redis.sismember(KEYS.unfinished, JOB.id)
    assert worker.claim().verdict is ClaimVerdict.SETTLED


@pytest.mark.parametrize("known", [True, False], ids=["taken over", "abandoned"])
def test_what_a_later_worker_was_paid_for_stays_in_its_log(
    workers: list[JournalWorker], tmp_path: Path, known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Where its answer is of a later schema: who can read it settles it later, and the job is not sent."""
    dead, living = workers
    claim = dead.claim()
    folder = LogFolder(tmp_path, "", process_identity.boot())
    identity = f"{process_identity.boot()}/0/0/1/1/{'a' * 8}"
    path = folder.of(identity)
    assert path is not None
    log = InflightLog(path, 1)
    entry = log.sent(claim.request_id)
    assert entry is not None
    log.answered(entry, newer(BOUGHT))
    log.close(keep=True)
    if known:
        living.redis.hset(KEYS.identities, dead.registry.owner, identity)
    else:
        dead.registry.leave()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            recoverer(living, folder, identity).recover()
    assert path.exists()
    assert "newer worker settles it" in caplog.text
    assert living.claim().verdict is ClaimVerdict.ORPHAN
    found = folder.read(path)
    assert found is not None
    assert found.answered == {claim.request_id: newer(BOUGHT)}


def test_callbacks_follow_a_result_of_a_later_version(worker: JournalWorker) -> None:
    """What it says of the job's end stands in the record, too."""
    record: dict[str, Any] = {"s": "accepted", "n": 1, "k": "task-1", "f": 1, "y": newer(BOUGHT)}
    worker.redis.hset(RECORD, mapping=record)
    end = LinkedJobs(worker.scripts, KEYS).ended(JOB)
    assert end is not None
    assert (end.status, end.task_id) == ("submitted", "task-1")


def test_counters_that_only_a_later_version_has_do_not_end_the_status(worker: JournalWorker) -> None:
    """Its page, its metrics and `aigc status` of this version show the others."""
    worker.redis.hset(KEYS.counters, mapping={"posts": 3, "seconds": "1.5", "last": '{"schema": 2}'})
    assert stats(worker.scripts, KEYS)["money"]["posts"] == 3
