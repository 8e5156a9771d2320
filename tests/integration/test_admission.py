"""Who may post now: rate, places in flight and pauses, as the scripts decide on a real Redis.

Time is not waited for: what a script wrote as a moment is read, or set back.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.integration.limited import I2V, KEYS, T2I, New, job
from worker.store.delayed import promote
from worker.store.values import ClaimVerdict, Delivery


def test_each_job_gets_a_slot_of_its_own(new: New) -> None:
    """At 4/s over two workers the first goes at once, and the others' slots are 250 ms apart."""
    workers = [new(interval_ms=250.0) for _ in range(2)]
    claims = [workers[number % 2].claim(f"job-{number}") for number in range(6)]
    assert [claim.verdict for claim in claims] == [ClaimVerdict.GO] + [ClaimVerdict.WAIT] * 5
    slots = [workers[0].slot(f"job-{number}") for number in range(1, 6)]
    assert all(later - earlier >= 249.9 for earlier, later in pairwise(slots))
    assert slots[-1] - slots[0] == pytest.approx(1000, abs=1)


def test_no_slot_is_given_far_ahead(new: New) -> None:
    """Whoever would wait longer asks again: the pace may be another one by then."""
    worker = new(interval_ms=1000.0)
    claims = [worker.claim(f"job-{number}") for number in range(6)]
    assert [claim.verdict for claim in claims] == [ClaimVerdict.GO] + [ClaimVerdict.WAIT] * 5
    assert float(worker.redis.get(KEYS.rate)) == pytest.approx(worker.slot("job-1") + 1000, abs=1)
    assert all(0.2 < claim.wait_s < 1.5 for claim in claims[2:])


def test_a_slot_is_kept(new: New) -> None:
    """Whoever claims again in time has its slot still, and takes none from others."""
    worker = new(interval_ms=1000.0)
    worker.claim("first")
    worker.claim("second")
    scheduled, slot = worker.redis.get(KEYS.rate), worker.slot("second")
    assert worker.claim("second").verdict is ClaimVerdict.WAIT
    assert (worker.redis.get(KEYS.rate), worker.slot("second")) == (scheduled, slot)
    worker.redis.hset(KEYS.job("second"), "w", slot - 1050)
    assert worker.claim("second").verdict is ClaimVerdict.GO
    assert worker.redis.get(KEYS.rate) == scheduled


def test_a_slot_that_was_missed_by_far_is_lost(new: New) -> None:
    """Late jobs must not come as a burst: they get new slots."""
    worker = new(interval_ms=1000.0)
    worker.claim("first")
    worker.claim("late")
    worker.redis.hincrbyfloat(KEYS.job("late"), "w", -5000)
    assert worker.claim("late").verdict is ClaimVerdict.WAIT


@pytest.mark.parametrize("limits", [
    {"interval_ms": 100_000}, {"workflow_interval_ms": ((T2I, 100_000.0),)},
])  # fmt: skip
def test_a_slow_rate_is_remembered_until_its_next_slot(new: New, limits: dict[str, Any]) -> None:
    """One post in 100 s is one in 100 s."""
    worker = new(**limits)
    assert worker.claim("first").verdict is ClaimVerdict.GO
    assert max(worker.redis.pttl(KEYS.rate), worker.redis.pttl(KEYS.workflow_rate(T2I))) > 99_000


def test_places_in_flight_are_shared_and_given_back(new: New) -> None:
    """However a job leaves its slot (settled, delayed, withdrawn), the next one has it."""
    one, other = new(max_inflight=2), new(max_inflight=2)
    first, second = one.claim("first"), other.claim("second")
    assert one.claim("third").verdict is ClaimVerdict.FULL
    one.settle("first", first)
    third = one.claim("third")
    assert (third.verdict, one.claim("fourth").verdict) == (ClaimVerdict.GO, ClaimVerdict.FULL)
    other.fail("second", second, delay_s=60)
    fourth = one.claim("fourth")
    assert (fourth.verdict, one.claim("fifth").verdict) == (ClaimVerdict.GO, ClaimVerdict.FULL)
    one.job_store.withdraw(job("fourth"), fourth)
    assert one.claim("fifth").verdict is ClaimVerdict.GO


def test_a_dead_worker_leaks_no_place(new: New) -> None:
    """What it held in flight is free with its takeover."""
    dead, living = new(max_inflight=2), new(max_inflight=2)
    dead.claim("first")
    dead.claim("second")
    assert living.claim("third").verdict is ClaimVerdict.FULL
    dead.registry.leave()
    assert living.claim("third").verdict is ClaimVerdict.GO


def test_a_workflows_own_limit_holds_up_nobody_else(new: New) -> None:
    """At 2/s its jobs beyond the next second go to its backlog; other workflows go at once."""
    worker = new(workflow_interval_ms=((I2V, 500.0),))
    verdicts = [worker.claim(f"video-{number}", I2V).verdict for number in range(6)]
    assert verdicts == [ClaimVerdict.GO, ClaimVerdict.WAIT, ClaimVerdict.WAIT, *[ClaimVerdict.BACKLOG] * 3]
    assert worker.claim("picture").verdict is ClaimVerdict.GO


def test_jobs_in_a_backlog_go_on_when_their_workflow_may(new: New) -> None:
    """They stay while the workflow is paused, and come to the front of their list afterwards."""
    worker = new()
    worker.redis.sadd(KEYS.paused, I2V)
    worker.job_store.to_backlog(job("video"), I2V, Delivery(worker.registry.owner, "", 1))
    promote(worker.scripts)
    assert worker.redis.llen(KEYS.lists[1]) == 0
    worker.redis.srem(KEYS.paused, I2V)
    promote(worker.scripts)
    assert json.loads(worker.redis.lpop(KEYS.lists[1]))["headers"]["id"] == "video"


def test_a_pause_of_all_and_of_one_workflow(new: New) -> None:
    """A paused workflow steps aside; a paused queue gives everything back."""
    worker = new()
    worker.redis.sadd(KEYS.paused, I2V)
    assert (worker.claim("a", I2V).verdict, worker.claim("b").verdict) == (
        ClaimVerdict.BACKLOG,
        ClaimVerdict.GO,
    )
    worker.redis.sadd(KEYS.paused, "*")
    assert worker.claim("c").verdict is ClaimVerdict.PAUSED


def test_a_waiting_job_comes_when_it_is_due(new: New) -> None:
    """Not before; meanwhile another delivery of it is told so."""
    worker = new()
    worker.fail("job", delay_s=3600)
    promote(worker.scripts)
    assert worker.redis.llen(KEYS.lists[1]) == 0
    assert worker.claim("job").verdict is ClaimVerdict.DELAYED
    worker.redis.zadd(KEYS.delayed, {"job": 1})
    promote(worker.scripts)
    assert worker.redis.llen(KEYS.lists[1]) == 1
    assert (claim := worker.claim("job")).verdict is ClaimVerdict.GO
    assert claim.attempts == 1
