"""What the consumer says while nothing can be taken from the queue."""

from __future__ import annotations

import threading
from unittest.mock import Mock, patch

import pytest
import redis

from worker.celery_adapter.transport import REMIND_EVERY_S, Transport


def test_a_redis_that_is_away_is_said_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    """Every 30 s, by a worker with nothing else to do as well; and once that it is back."""
    consumer = Transport.__new__(Transport)
    consumer._guard, consumer._outage = Mock(), Mock()
    consumer._away_since, consumer._said_at = None, 0.0
    times = (100.0, 101.0, 100.0 + REMIND_EVERY_S, 131.0, 100.0 + 2 * REMIND_EVERY_S, 160.0)
    clock = patch("worker.celery_adapter.transport.time.monotonic", side_effect=times)
    with clock, caplog.at_level("INFO"):
        for _ in times[1:]:
            consumer._note_away(redis.ConnectionError("gone"))
        consumer._note_back()
    said = [record.message for record in caplog.records]
    assert said == ["Redis is away (ConnectionError: gone); taking messages waits"] * 3 + [
        "Redis answers again after 60.0 s"
    ]


def test_a_redis_that_refuses_is_no_outage() -> None:
    """It answers: what it refuses is told by another."""
    consumer = Transport.__new__(Transport)
    consumer._guard, consumer._outage = Mock(), Mock()
    consumer._away_since, consumer._said_at = None, 0.0
    consumer._note_away(redis.ResponseError("no"))
    assert not consumer._outage.failed.called
    consumer._note_away(redis.TimeoutError("no answer"))
    assert consumer._outage.failed.called


def test_a_worker_that_stops_takes_nothing_more() -> None:
    """Celery asks once more after it has found out: a message taken then would only be given back."""
    consumer = Transport.__new__(Transport)
    consumer._queue, consumer._stopping = Mock(), threading.Event()
    consumer._stopping.set()
    with pytest.raises(TimeoutError):
        consumer.drain_events(connection=None)
    assert not consumer._queue.take.called
    assert consumer._queue.looked_at.called
