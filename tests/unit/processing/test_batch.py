"""The loop of a batch, with what it stands on replaced: how often it goes round while nothing can be done."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import redis

from tasks.envelope import Job
from worker.processing.batch import Batch
from worker.processing.batch_items import Crew, Decided, Item
from worker.processing.places import Places
from worker.processing.working import Working
from worker.store import retrying
from worker.store.retrying import Stop, StoreClosed, Wait
from worker.store.values import Delivery

JOB = Job("a-job", {})
CARRIER = Delivery("owner", "1.0", 1)


class Away:
    """A journal whose Redis is away; counts how often it is asked."""

    def __init__(self, stop: Stop) -> None:
        self.asked = 0
        self._stop = stop

    def write(self, decided: Sequence[Any], wanted: Sequence[Any] = ()) -> tuple[list[Any], list[Any]]:
        self.asked += bool(decided or wanted)
        away = redis.ConnectionError("away")
        return [away for _ in decided], [away for _ in wanted]

    def wait(self, **_: Any) -> Wait:
        return Wait("settle", self._stop)


def test_a_stopping_worker_does_not_spin_while_redis_is_away() -> None:
    """What cannot be written down is asked for a few times a second, until there is no more time."""
    stop, stopping = Stop(), threading.Event()
    job_store = Away(stop)
    rounds = 0

    def wait(*_: Any) -> list[Any]:
        nonlocal rounds
        rounds += 1
        return []

    submitter: Any = SimpleNamespace(
        job_store=job_store,
        stopping=stopping,
        working=Working(),
        guard=SimpleNamespace(is_open=False, settled=lambda _: None),
        refused=lambda *_: None,
        first_attempt=SimpleNamespace(proven=True),
    )
    vendor: Any = SimpleNamespace(wait=wait, warm=lambda _: [])
    batch = Batch(Crew(submitter, vendor, Places(1), None, lambda *_: None), [])  # type: ignore[arg-type]
    found: Any = SimpleNamespace(throttled_s=None)
    batch._refused.append(Decided(Item(JOB, CARRIER, lambda _: None), found, None, 0.0))
    stopping.set()
    stop.begin()
    with patch.object(retrying, "GRACE_S", 0.5), pytest.raises(StoreClosed):
        batch.run()
    assert 1 < job_store.asked < 20
    assert rounds < 40
