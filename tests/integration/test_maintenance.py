"""What every worker does beside submitting, for those that are gone and for what Redis has refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import redis

from tasks.result import Result
from tests.conditions import until
from tests.integration.desk import Desk
from tests.integration.journal import JOB, KEYS
from tests.integration.journal import JournalWorker as Worker
from tests.integration.stage import Stage, faulty
from tests.redis_server import RedisServer
from worker.domain.outcome import OutcomeKind
from worker.local.inflight_folder import LogFolder
from worker.local.inflight_log import InflightLog
from worker.maintenance.heartbeat import Heartbeat
from worker.maintenance.janitor import PAGES_A_TURN, Janitor
from worker.maintenance.promoter import Promoter
from worker.maintenance.recoverer import Recoverer
from worker.maintenance.scheduler import Scheduler
from worker.processing.flow_control import FlowControl
from worker.processing.redis_outage import RedisOutage
from worker.store.delayed import PAGE
from worker.store.queue import MessageQueue
from worker.store.recovery import Recovery
from worker.store.values import Claim, ClaimVerdict, Delivery, Feedback, Settlement

BOOT = "this-boot"
WORKS = Feedback(counted=True, vendor_works=True)


class Dead:
    """A worker that has claimed the job, and is killed."""

    def __init__(self, worker: Worker, folder: LogFolder, boot: str = BOOT) -> None:
        self.worker = worker
        self.identity = f"{boot}/1/0/4711/99/{worker.registry.owner}"
        worker.redis.hset(KEYS.identities, worker.registry.owner, self.identity)
        self.log = InflightLog(folder.of(self.identity), most=2)
        self.delivery, self.claim = worker.hold(), worker.claim()

    def accepted(self, task_id: str = "t-1") -> str:
        """The result of its attempt, which the vendor accepted, as the log has it."""
        return ending(self.delivery, self.claim, task_id).result_json

    def die(self) -> None:
        """As SIGKILL does it: the lock is free, and the file stays, whatever is in it."""
        self.log._map.close()
        os.close(self.log._descriptor)


def ending(delivery: Delivery, claim: Claim, task_id: str) -> Settlement:
    result = Result(
        JOB.id, "submitted", task_id, "TEXT2IMAGE", "1.0.0", 1, claim.request_id, None, None, False, ""
    )
    return Settlement(JOB, delivery, claim, result, OutcomeKind.ACCEPTED, WORKS)


@pytest.fixture
def folder(tmp_path: Path) -> LogFolder:
    return LogFolder(tmp_path, "a queue", BOOT)


@pytest.fixture
def workers(redis_server: RedisServer) -> Iterator[list[Worker]]:
    some = [Worker(redis_server) for _ in range(2)]
    yield some
    for worker in some:
        worker.redis.close()


def maintenance_of(worker: Worker, folder: LogFolder) -> Scheduler:
    """What a worker does beside submitting, but for the heartbeat; it ticks when it is told to."""
    worker.registry._is_gone = lambda identity: bool(folder.is_gone(identity))
    message_queue = MessageQueue(worker.scripts, KEYS, worker.registry, lambda _: None, threading.Event())
    recovery = Recovery(worker.scripts, KEYS, worker.job_store.store)
    log = InflightLog(None, 1)
    recoverer = Recoverer(worker.registry, worker.scripts, recovery, message_queue, folder, log)
    janitor = Janitor(worker.registry, worker.scripts, keep_s=60)
    promoter = Promoter(worker.scripts, FlowControl(), Mock())
    duties = [*promoter.duties, *recoverer.duties, *janitor.duties]
    return Scheduler("maintenance", duties, ready=lambda: True)


def a_due_job(client: Any, name: str = "message") -> Callable[[], bool]:
    """Something else that is to be done; whether it was."""
    client.hset(KEYS.delayed_messages, name, f"1|{name}")
    client.zadd(KEYS.delayed, {name: 1})
    return lambda: name.encode() in client.lrange(KEYS.queue, 0, -1)


def results(client: Any) -> list[bytes]:
    return [fields[b"result"] for _, fields in client.xrange(KEYS.results)]


def test_a_heap_of_expired_dead_letters_does_not_keep_the_promoter_waiting(
    workers: list[Worker], folder: LogFolder
) -> None:
    """A turn clears a bounded number of pages; the next ones go on, until all are gone."""
    living, heap = workers[1], PAGE * PAGES_A_TURN * 2 + 1
    living.redis.zadd(KEYS.dead_letters("rejected"), {f"old-{number}": 1 for number in range(heap)})
    maintenance = maintenance_of(living, folder)
    left = []
    for number in range(3):
        promoted = a_due_job(living.redis, f"due-{number}")
        maintenance.tick()
        left.append(living.redis.zcard(KEYS.dead_letters("rejected")))
        assert promoted()
    assert left == [heap - PAGE * PAGES_A_TURN, 1, 0]


def test_a_heartbeat_under_way_at_the_goodbye_makes_no_ghost(workers: list[Worker]) -> None:
    """It finds its name gone, and takes no new one that nobody would beat under."""
    leaving = workers[0]
    looked = threading.Event()

    def look() -> bool:
        leaving.registry.leave()
        looked.set()
        return True

    heartbeat = Heartbeat(
        leaving.registry, look, refusal=lambda: "", trouble=lambda: "", outage=RedisOutage(None)
    )
    heartbeat.start()
    assert looked.wait(30)
    assert heartbeat.stop()
    assert leaving.redis.zrange(KEYS.workers, 0, -1) == [workers[1].registry.owner.encode()]


def test_what_a_dead_worker_was_paid_for_is_settled(workers: list[Worker], folder: LogFolder) -> None:
    """Its log has the answer: the job is submitted, and its message is gone with it."""
    dead, living = Dead(workers[0], folder), workers[1]
    dead.log.answered(dead.log.sent(dead.claim.request_id) or 0, dead.accepted())
    dead.die()
    maintenance_of(living, folder).tick()
    assert [b'"taskId":"t-1"' in result for result in results(living.redis)] == [True]
    assert living.claim().verdict is ClaimVerdict.SETTLED


def test_what_a_dead_worker_had_not_sent_is_as_if_untried(workers: list[Worker], folder: LogFolder) -> None:
    """Its log does not have the attempt: another worker may send the job."""
    dead, living = Dead(workers[0], folder), workers[1]
    dead.die()
    maintenance_of(living, folder).tick()
    assert living.claim().verdict is ClaimVerdict.GO


def test_of_an_earlier_boot_what_is_not_in_the_log_may_have_been_sent(
    workers: list[Worker], folder: LogFolder
) -> None:
    """The machine went down: what was accepted is settled late, and nothing is taken for unsent."""
    dead, living = Dead(workers[0], folder, boot="an-earlier-boot"), workers[1]
    dead.die()
    living.redis.zrem(KEYS.workers, dead.worker.registry.owner)  # presumed dead by now
    living.redis.hdel(KEYS.identities, dead.worker.registry.owner)
    maintenance_of(living, folder).tick()
    assert living.claim().verdict is ClaimVerdict.ORPHAN


def test_a_log_that_nobody_asks_for_is_settled_and_removed(
    workers: list[Worker], folder: LogFolder, tmp_path: Path
) -> None:
    """Another machine took the worker over and gave its job up as unknown: the truth comes late, and is
    told."""
    dead, living = Dead(workers[0], folder), workers[1]
    dead.log.answered(dead.log.sent(dead.claim.request_id) or 0, dead.accepted())
    dead.worker.registry.leave()
    living.claim()
    living.settle(living.hold(), None, "unknown")
    dead.die()
    maintenance_of(living, folder).tick()
    told = results(living.redis)
    assert [b'"status":"unknown"' in told[0], b'"taskId":"t-1"' in told[1], len(told)] == [True, True, 2]
    assert b'"possibleDuplicate":true' in told[1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spoilt", ["its record", "another's record", "its log"])
def test_one_that_cannot_be_dealt_with_holds_up_nothing_else(
    workers: list[Worker], folder: LogFolder, spoilt: str
) -> None:
    """A record of another type, or a log that the power cut short: due jobs move, and the worker is taken
    over."""
    dead, living = Dead(workers[0], folder), workers[1]
    slot = dead.log.sent(dead.claim.request_id) or 0
    if spoilt == "its log":
        dead.log.answered(slot, '{"schema":1,"jobId":"a-job"' + "\0" * 50)
    elif spoilt == "its record":
        living.redis.delete(KEYS.job(JOB.id))
        living.redis.set(KEYS.job(JOB.id), "no record")
    else:
        living.redis.zadd(KEYS.sending, {"a-living-one|another": 1})
        living.redis.set(KEYS.job("another"), "no record")
    dead.die()
    moved = a_due_job(living.redis)
    maintenance_of(living, folder).tick()
    assert moved()
    assert living.redis.zscore(KEYS.workers, dead.worker.registry.owner) is None


def test_what_was_refused_of_a_late_truth_is_done_though_its_worker_is_gone(
    workers: list[Worker], folder: LogFolder
) -> None:
    """The record says accepted, the result could not be told, and nobody else would come by that job."""
    slow, living = workers
    delivery, claim = slow.hold(), slow.claim()
    slow.registry.leave()
    living.claim()
    living.settle(living.hold(), None, "unknown")
    living.redis.rename(KEYS.results, "kept")
    living.redis.set(KEYS.results, "of another type")
    late = replace(ending(delivery, claim, "t-1"), late=True)
    with pytest.raises(redis.ResponseError, match="XADD aigc:results"):
        slow.job_store.settle(late)
    living.redis.rename("kept", KEYS.results)
    maintenance_of(living, folder).tick()
    assert [b'"taskId":"t-1"' in result for result in results(living.redis)] == [False, True]
    assert living.redis.zcard(KEYS.dead_letters("unknown")) == 0
    assert living.redis.exists(KEYS.unfinished) == 0


def test_what_was_refused_of_an_operators_decision_can_be_repeated(redis_server: RedisServer) -> None:
    """The job stays where it can be found until all is done, and the result is told once."""
    desk = Desk(redis_server)
    desk.add_dead_letter("held")
    desk.redis.rename(KEYS.results, "kept")
    desk.redis.set(KEYS.results, "of another type")
    assert desk.aigc("failed", "accept", "t-1", "--job", "held").code == 1
    assert desk.redis.exists(KEYS.refusing) == 0, "it is no reason to stop the workers"
    desk.redis.rename("kept", KEYS.results)
    assert desk.aigc("failed", "accept", "t-1", "--job", "held").code == 0
    assert [result.task_id for result in desk.results_of("held")] == [None, "t-1"]
    assert desk.dead_letters.count()["unknown"] == 0


def test_a_delivery_that_waits_has_a_message(workers: list[Worker]) -> None:
    """A due time without a message is no reason to let go of the only one."""
    worker = workers[0]
    delivery = worker.hold()
    worker.redis.zadd(KEYS.delayed, {JOB.id: 1})
    worker.job_store.look_again(JOB, delivery, 0.0)
    worker.scripts.run("promote", 10)
    assert worker.redis.llen(KEYS.queue) == 1


def test_a_job_that_was_never_sent_stops_nobody(stage: Stage) -> None:
    """Its payload is invalid and its record of another type: it waits, and others are submitted."""
    stage.redis.set(KEYS.job("bad"), "no record")
    stage.worker(CONCURRENCY=2)
    stage.enqueue({"workflow": "TEXT2IMAGE"}, "bad")
    until(lambda: stage.held() == 1, "the bad one to be taken")
    jobs = [stage.enqueue(faulty()) for _ in range(5)]
    assert {stage.result(job)["status"] for job in jobs} == {"submitted"}
    until(lambda: stage.waiting() == 1 and not stage.held(), "the bad one to be put aside")


def test_the_workers_of_a_machine_leave_no_logs(stage: Stage) -> None:
    """After kills and stops, what was in flight is settled and its files are gone."""
    stage.vendor.set("latency", latency_ms=100)
    victim: Any = stage.worker(CONCURRENCY=4)
    jobs = [stage.enqueue(faulty()) for _ in range(30)]
    until(lambda: len(stage.results()) > 5, "some results")
    victim.kill()
    survivor = stage.worker(CONCURRENCY=4)
    assert {stage.result(job)["status"] for job in jobs} <= {"submitted", "unknown"}
    until(lambda: len(_logs(stage)) == 1, "the log of the dead one to go")
    assert survivor.terminate() == 0
    assert _logs(stage) == []


def _logs(stage: Stage) -> list[Path]:
    return list(Path(stage.directory).glob("*in-flight-*"))
