"""What the journal keeps of a job: its one result, and that money may be gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from tests.integration.journal import JOB, KEYS, JournalWorker
from tests.redis_server import RedisServer
from worker.store.values import ClaimVerdict


@pytest.fixture
def worker(redis_server: RedisServer) -> Iterator[JournalWorker]:
    made = JournalWorker(redis_server)
    yield made
    made.redis.close()


def test_a_result_that_cannot_be_told_is_told_once_it_can_be(worker: JournalWorker) -> None:
    """Where the results' name is taken, settling is refused and can be repeated: one result comes of it."""
    delivery, claim = worker.hold(), worker.claim()
    worker.redis.set(KEYS.results, "somebody else's")
    with pytest.raises(redis.ResponseError):
        worker.settle(delivery, claim, "submitted", "t-1")
    worker.redis.delete(KEYS.results)
    assert worker.settle(delivery, claim, "submitted", "t-1") == "settled"
    assert worker.redis.xlen(KEYS.results) == 1


def test_a_record_is_readable_whatever_the_producer_stamped(worker: JournalWorker) -> None:
    """A stamp that is no time does not make an orphan undecidable for ever."""
    worker.claim(replace(JOB, enqueued_ms=10**30))
    assert worker.job_store.record(JOB.id)["state"] == "sending"


def test_an_unknown_attempt_outlives_a_redis_that_forgot_its_claim(worker: JournalWorker) -> None:
    """After a failover that lost the claim, the attempt's sender still knows that money may be gone."""
    delivery, claim = worker.hold(), worker.claim()
    worker.redis.delete(KEYS.job(JOB.id))
    worker.redis.delete(KEYS.sending)
    worker.settle(delivery, claim, "unknown")
    again = worker.claim()
    assert again.verdict is ClaimVerdict.SETTLED or again.unresolved
