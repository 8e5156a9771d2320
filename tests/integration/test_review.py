"""What a hostile reading of the money path found, each as small as it can be told on a real Redis."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import redis

from tasks.contract import Status
from tasks.envelope import Job, encode
from tasks.result import Result
from tests.integration.job_verbs import JobVerbs
from tests.integration.stage import CAT
from tests.redis_server import RedisServer
from worker.domain.outcome import OutcomeKind
from worker.local.inflight_log import Folder, Found, InflightLog
from worker.maintenance.recoverer import Recoverer
from worker.store.dead_letters import DeadLetters
from worker.store.keys import KeyNames
from worker.store.queue import MessageQueue
from worker.store.recovery import Recovery
from worker.store.scripts import Scripts
from worker.store.values import Claim, ClaimVerdict, Delivery, Feedback, Settlement, SharedLimits
from worker.store.workers import Dead, WorkerRegistry

KEYS = KeyNames("aigc", "aigc:results")
JOB = Job("a-job", CAT)
NOTHING = Found(frozenset(), {}, complete=True)
FAILED = Feedback(counted=True, vendor_works=False)
OF_AN_ORPHAN = Feedback(counted=False, vendor_works=None, orphan=True)


class Worker:
    """One worker's view of the journal, with limits of its own."""

    def __init__(self, server: RedisServer, limits: SharedLimits | None = None) -> None:
        self.scripts = Scripts(server.url, (KEYS.queue, KEYS.results), connections=4)
        self.redis: Any = self.scripts.client
        self.registry = WorkerRegistry(self.scripts, KEYS)
        self.registry.join()
        self.job_store = JobVerbs(self.scripts, KEYS, self.registry, limits or SharedLimits(breaker_after=0))

    def hold(self) -> Delivery:
        tag = f"1.{uuid.uuid4().int}"
        self.redis.hset(KEYS.unacked(self.registry.owner), tag, encode(JOB, KEYS.queue))
        return Delivery(self.registry.owner, tag, 1)

    def claim(self, job: Job = JOB) -> Claim:
        return self.job_store.claim(job, "TEXT2IMAGE", str(uuid.uuid4()))

    def settle(self, delivery: Delivery, claim: Claim | None, status: Status, task: str | None = None) -> str:
        request_id = claim.request_id if claim else None
        result = Result(JOB.id, status, task, "TEXT2IMAGE", "1.0.0", 1, request_id, None, None, False, "")
        feedback = FAILED if claim else OF_AN_ORPHAN
        return self.job_store.settle(Settlement(JOB, delivery, claim, result, OutcomeKind.UNKNOWN, feedback))

    def braked(self) -> None:
        """The brake is on, and the next probe may go."""
        self.redis.hset(KEYS.breaker, mapping={"open": 1, "since": 1, "interval": 500, "next": 1})


@pytest.fixture
def workers(redis_server: RedisServer) -> Iterator[list[Worker]]:
    some = [Worker(redis_server) for _ in range(3)]
    yield some
    for worker in some:
        worker.redis.close()


def test_a_slow_neighbour_does_not_take_back_a_living_attempt(workers: list[Worker]) -> None:
    """Who is late in taking over a dead worker leaves alone what others have claimed since."""
    dead, slow, living = workers
    dead.claim()
    claims: list[Claim] = []

    def others_are_faster(*args: Any, **kwargs: Any) -> Any:
        registry = list_members(*args, **kwargs)
        Recovery(living.scripts, KEYS, living.job_store.store).recover(dead.registry.owner, NOTHING)
        dead.registry.leave()
        claims.append(living.claim())
        return registry

    list_members = slow.redis.zrange
    with patch.object(slow.redis, "zrange", others_are_faster):
        Recovery(slow.scripts, KEYS, slow.job_store.store).recover(dead.registry.owner, NOTHING)
    assert claims[0].verdict is ClaimVerdict.GO
    assert slow.claim().verdict is ClaimVerdict.BUSY  # not GO: that would be a second, silent purchase


class CountingLock:
    """A lock that tells how many have asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.asked = threading.Semaphore(0)

    def __enter__(self) -> None:
        self.asked.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_threads_that_are_fenced_together_share_one_new_name(workers: list[Worker]) -> None:
    """A process that was frozen has one name afterwards: one without a heartbeat is soon declared dead."""
    worker, neighbour, _ = workers
    fenced = worker.registry.owner
    neighbour.registry.take_over(Dead(fenced, "", known=True, last_beat=0.0))
    before = worker.redis.zcard(KEYS.workers)
    lock = CountingLock()
    with patch.object(worker.registry, "_lock", lock):
        threads = [threading.Thread(target=worker.registry.rejoin, args=(fenced,)) for _ in range(4)]
        with lock:
            for thread in threads:
                thread.start()
            for _ in range(5):
                assert lock.asked.acquire(timeout=5)
        for thread in threads:
            thread.join(5)
    assert worker.redis.zcard(KEYS.workers) == before + 1


@pytest.mark.parametrize("limits", [
    SharedLimits(interval_ms=100_000), SharedLimits(workflow_interval_ms=(("TEXT2IMAGE", 100_000.0),)),
])  # fmt: skip
def test_a_slow_rate_is_remembered_until_its_next_slot(
    redis_server: RedisServer, limits: SharedLimits
) -> None:
    """One post in 100 s is one in 100 s."""
    worker = Worker(redis_server, limits)
    assert worker.claim().verdict is ClaimVerdict.GO
    left = max(worker.redis.pttl(KEYS.rate), worker.redis.pttl(KEYS.workflow_rate("TEXT2IMAGE")))
    worker.redis.close()
    assert left > 99_000


def test_a_probe_keeps_to_the_rate(redis_server: RedisServer) -> None:
    """While the brake is on there is no more than the rate either."""
    worker = Worker(redis_server, SharedLimits(interval_ms=50_000))
    assert worker.claim(replace(JOB, id="another")).verdict is ClaimVerdict.GO
    worker.braked()
    verdict = worker.claim().verdict
    worker.redis.close()
    assert verdict is not ClaimVerdict.PROBE


def test_a_result_that_cannot_be_told_is_told_once_it_can_be(workers: list[Worker]) -> None:
    """Where the results' name is taken, settling is refused and can be repeated: one result comes of it."""
    worker = workers[0]
    delivery, claim = worker.hold(), worker.claim()
    worker.redis.set(KEYS.results, "somebody else's")
    with pytest.raises(redis.ResponseError):
        worker.settle(delivery, claim, "submitted", "t-1")
    worker.redis.delete(KEYS.results)
    assert worker.settle(delivery, claim, "submitted", "t-1") == "settled"
    assert worker.redis.xlen(KEYS.results) == 1


def test_a_goodbye_does_not_take_back_what_takes_off_meanwhile(workers: list[Worker], tmp_path: Path) -> None:
    """On a cold shutdown threads still work: none may send what its process has given back as untried."""
    leaving, neighbour, _ = workers
    log = InflightLog(tmp_path / "log", most=1)
    claim = leaving.claim()
    message_queue = MessageQueue(leaving.scripts, KEYS, leaving.registry, lambda _: None, threading.Event())
    folder = Folder(tmp_path, "", "")
    recovery = Recovery(leaving.scripts, KEYS, leaving.job_store.store)
    recoverer = Recoverer(leaving.registry, leaving.scripts, recovery, message_queue, folder, log)
    log.forbid()
    recoverer.leave()
    assert log.sent(claim.request_id) is None
    assert neighbour.claim().verdict is ClaimVerdict.GO


def test_a_record_is_readable_whatever_the_producer_stamped(workers: list[Worker]) -> None:
    """A stamp that is no time does not make an orphan undecidable for ever."""
    worker = workers[0]
    worker.claim(replace(JOB, enqueued_ms=10**30))
    assert worker.job_store.record(JOB.id)["state"] == "sending"


def test_an_unknown_attempt_outlives_a_redis_that_forgot_its_claim(workers: list[Worker]) -> None:
    """After a failover that lost the claim, the attempt's sender still knows that money may be gone."""
    worker = workers[0]
    delivery, claim = worker.hold(), worker.claim()
    worker.redis.delete(KEYS.job(JOB.id))
    worker.redis.delete(KEYS.sending)
    worker.settle(delivery, claim, "unknown")
    again = worker.claim()
    assert again.verdict is ClaimVerdict.SETTLED or again.unresolved


def test_a_second_finder_of_an_orphan_does_not_undo_a_retry(workers: list[Worker]) -> None:
    """A slow or repeated decision about an orphan is none once an operator has queued the job again."""
    dead, one, two = workers
    dead.claim()
    dead.registry.leave()
    assert (one.claim().verdict, two.claim().verdict) == (ClaimVerdict.ORPHAN, ClaimVerdict.ORPHAN)
    assert one.settle(one.hold(), None, "unknown") == "settled"
    dead_letters = DeadLetters(one.scripts, KEYS)
    shelved = dead_letters.get(JOB.id)
    assert shelved is not None
    assert dead_letters.retry(shelved, "me") == 1
    two.settle(two.hold(), None, "unknown")
    assert one.claim().verdict is ClaimVerdict.GO
