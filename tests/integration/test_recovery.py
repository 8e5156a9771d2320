"""Who sees to the attempts of a worker that is gone: on a real Redis, without a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.conditions import PATIENCE_S
from tests.integration.journal import JOB, KEYS, JournalWorker
from tests.redis_server import RedisServer
from worker.local.inflight_folder import LogFolder
from worker.local.inflight_log import InflightLog, LogContents
from worker.maintenance.recoverer import Recoverer
from worker.store.dead_letters import DeadLetters
from worker.store.queue import MessageQueue
from worker.store.recovery import Recovery
from worker.store.values import Claim, ClaimVerdict
from worker.store.workers import Dead

NOTHING = LogContents(frozenset(), {}, complete=True)


@pytest.fixture
def workers(redis_server: RedisServer) -> Iterator[list[JournalWorker]]:
    some = [JournalWorker(redis_server) for _ in range(3)]
    yield some
    for worker in some:
        worker.redis.close()


def test_a_slow_neighbour_does_not_take_back_a_living_attempt(workers: list[JournalWorker]) -> None:
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


def test_threads_that_are_fenced_together_share_one_new_name(workers: list[JournalWorker]) -> None:
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
                assert lock.asked.acquire(timeout=PATIENCE_S)
        for thread in threads:
            thread.join(5)
    assert worker.redis.zcard(KEYS.workers) == before + 1


def test_a_goodbye_does_not_take_back_what_takes_off_meanwhile(
    workers: list[JournalWorker], tmp_path: Path
) -> None:
    """On a cold shutdown threads still work: none may send what its process has given back as untried."""
    leaving, neighbour, _ = workers
    log = InflightLog(tmp_path / "log", most=1)
    claim = leaving.claim()
    message_queue = MessageQueue(leaving.scripts, KEYS, leaving.registry, lambda _: None, threading.Event())
    folder = LogFolder(tmp_path, "", "")
    recovery = Recovery(leaving.scripts, KEYS, leaving.job_store.store)
    recoverer = Recoverer(leaving.registry, leaving.scripts, recovery, message_queue, folder, log)
    log.forbid()
    recoverer.leave()
    assert log.sent(claim.request_id) is None
    assert neighbour.claim().verdict is ClaimVerdict.GO


def test_a_second_finder_of_an_orphan_does_not_undo_a_retry(workers: list[JournalWorker]) -> None:
    """A slow or repeated decision about an orphan is none once an operator has queued the job again."""
    dead, one, two = workers
    dead.claim()
    dead.registry.leave()
    assert (one.claim().verdict, two.claim().verdict) == (ClaimVerdict.ORPHAN, ClaimVerdict.ORPHAN)
    assert one.settle(one.hold(), None, "unknown") == "settled"
    dead_letters = DeadLetters(one.scripts, KEYS)
    dead_letter = dead_letters.get(JOB.id)
    assert dead_letter is not None
    assert dead_letters.retry(dead_letter, "me") == 1
    two.settle(two.hold(), None, "unknown")
    assert one.claim().verdict is ClaimVerdict.GO
