"""AIGC_MAX_INFLIGHT, at the level of the scripts: slots go round, and whoever frees one wakes the next."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis

from tests.conditions import until
from tests.integration.limited import KEYS, LimitedWorker, New, job
from worker.store import slots
from worker.store.slots import SlotWatcher
from worker.store.values import ClaimVerdict

Pair = tuple[LimitedWorker, LimitedWorker]
GO, FULL = ClaimVerdict.GO, ClaimVerdict.FULL


@pytest.fixture
def pair(new: New) -> Pair:
    """Two workers that share one slot."""
    return new(max_inflight=1), new(max_inflight=1)


def woken(worker: LimitedWorker) -> bool:
    """Whether there is a mark for the worker, which is taken."""
    return worker.redis.lpop(KEYS.wake(worker.registry.owner)) is not None


def waiting(worker: LimitedWorker) -> list[str]:
    return [name.decode() for name in worker.redis.zrange(KEYS.slot_waiters, 0, -1)]


def grow_old(worker: LimitedWorker, by_ms: float = 3001) -> None:
    """So long ago did this worker ask for a slot."""
    owner = worker.registry.owner
    worker.redis.hset(KEYS.slot_asks, owner, worker.number(KEYS.slot_asks, owner) - by_ms)


def test_two_workers_with_many_jobs_alternate(pair: Pair) -> None:
    """Each asks again with what it has left, and stands behind the other then."""
    one, other = pair
    sending, turns = one.claim("one-0"), []
    holder, number = one, 0
    other.claim("other-0")
    for number in range(1, 9):
        asks = one if holder is one else other
        assert asks.claim(f"more-{number}").verdict is FULL
        holder.settle("one-0" if number == 1 else f"job-{number - 1}", sending)
        turns.append([worker is one for worker in pair if woken(worker)])
        verdicts = {worker: worker.claim(f"job-{number}") for worker in pair}
        (holder,) = [worker for worker, claim in verdicts.items() if claim.verdict is GO]
        sending = verdicts[holder]
    assert turns == [[False], [True]] * 4


def test_who_has_just_freed_a_slot_does_not_take_it_again(pair: Pair) -> None:
    """While another one waits for it, its own next job is answered full."""
    one, other = pair
    first = one.claim("first")
    assert other.claim("second").verdict is FULL
    one.settle("first", first)
    assert one.claim("third").verdict is FULL
    assert other.claim("second").verdict is GO
    assert waiting(one) == [one.registry.owner]


@pytest.mark.parametrize("end", ["settle", "reschedule", "withdraw", "takeover"])
def test_however_a_slot_is_freed_the_next_one_is_woken(pair: Pair, end: str) -> None:
    """Once, with a mark that does not last for ever."""
    one, other = pair
    claim = one.claim("first")
    other.claim("second")
    match end:
        case "settle":
            one.settle("first", claim)
        case "reschedule":
            one.fail("first", claim, delay_s=60)
        case "withdraw":
            one.job_store.withdraw(job("first"), claim)
        case _:
            one.registry.leave()
    assert 0 < other.redis.ttl(KEYS.wake(other.registry.owner)) <= 60
    assert [woken(other), woken(other), woken(one)] == [True, False, False]
    assert other.claim("second").verdict is GO


def test_marks_do_not_pile_up(new: New) -> None:
    """One that is not fetched is enough."""
    one, other = new(max_inflight=3), new(max_inflight=3)
    claims = {f"job-{number}": one.claim(f"job-{number}") for number in range(3)}
    other.claim("waits")
    for job_id, claim in claims.items():
        one.settle(job_id, claim)
    assert [woken(other), woken(other)] == [True, False]


def test_a_waiter_that_does_not_ask_any_more_blocks_nobody(pair: Pair) -> None:
    """It has been silent for three seconds: its jobs have gone elsewhere."""
    one, idle = pair
    claim = one.claim("first")
    assert idle.claim("second").verdict is FULL
    grow_old(idle)
    one.settle("first", claim)
    assert not woken(idle)
    assert one.claim("third").verdict is GO
    assert waiting(one) == []


def test_a_dead_waiter_blocks_nobody(pair: Pair) -> None:
    """Neither one that was taken over, nor one that only has left the set of the living."""
    one, dead = pair
    claim = one.claim("first")
    dead.claim("second")
    dead.registry.leave()
    assert waiting(one) == []
    one.redis.zadd(KEYS.slot_waiters, {"a-ghost": 1})
    one.redis.hset(KEYS.slot_asks, "a-ghost", round(time.time() * 1000))
    one.settle("first", claim)
    assert one.claim("third").verdict is GO


def test_as_many_go_as_are_free_beside_those_who_wait(new: New) -> None:
    """Two free slots, one waiter before: the second slot is not kept back."""
    one, other, third = (new(max_inflight=2) for _ in range(3))
    claims = [one.claim(f"job-{number}") for number in range(2)]
    other.claim("waits")
    for number, claim in enumerate(claims):
        one.settle(f"job-{number}", claim)
    assert third.claim("comes").verdict is GO
    assert third.claim("comes too").verdict is FULL
    assert other.claim("waits").verdict is GO


def test_who_gets_a_slot_wakes_the_next_one_while_some_are_free(new: New) -> None:
    """A dead worker's slots are freed together, and all who wait are woken."""
    dead, one, other, third = (new(max_inflight=2) for _ in range(4))
    for number in range(2):
        dead.claim(f"lost-{number}")
    for worker in (one, other, third):
        assert worker.claim(f"of-{worker.registry.owner}").verdict is FULL
    dead.registry.leave()
    assert [woken(one), woken(other), woken(third)] == [True, True, False]
    assert one.claim("first").verdict is GO
    assert woken(other)


def test_nobody_waits_for_ever(new: New) -> None:
    """Five workers with a heap of jobs and one slot: in each round of five each has its turn."""
    workers = [new(max_inflight=1) for _ in range(5)]
    sending = workers[0].claim("job-0"), "job-0", workers[0]
    order = []
    for number in range(1, 26):
        for worker in workers:
            assert worker.claim("asks").verdict is FULL
        sending[2].settle(sending[1], sending[0])
        (woken_one,) = [worker for worker in workers if woken(worker)]
        sending = woken_one.claim(f"job-{number}"), f"job-{number}", woken_one
        assert sending[0].verdict is GO
        order.append(workers.index(woken_one))
    assert all(sorted(order[start : start + 5]) == list(range(5)) for start in range(0, 25, 5))


def test_without_a_limit_settling_asks_for_nobody(new: New) -> None:
    """The many jobs of a batch pay nothing for it."""
    worker = new()
    worker.settle("warm-up")
    before = worker.redis.info("commandstats")
    worker.settle("job")
    after = worker.redis.info("commandstats")
    ran = {name for name in after if after[name]["calls"] > before.get(name, {"calls": 0})["calls"]}
    assert ran.isdisjoint({"cmdstat_zrange", "cmdstat_rpush", "cmdstat_zcard"})


def test_a_mark_that_is_refused_does_not_keep_a_job_from_being_settled(
    pair: Pair,
) -> None:
    """Whoever is not woken asks again by itself."""
    one, other = pair
    claim = one.claim("first")
    other.claim("second")
    one.redis.set(KEYS.wake(other.registry.owner), "of another type")
    one.settle("first", claim)
    assert other.claim("second").verdict is GO


class Listener:
    """A watcher of a worker's marks, and how often it has told."""

    def __init__(self, client: Any, worker: LimitedWorker) -> None:
        self.told = threading.Semaphore(0)
        self.watcher = SlotWatcher(client, lambda: KEYS.wake(worker.registry.owner), self.told.release)

    def is_told(self) -> bool:
        return self.told.acquire(timeout=30)


def test_a_freed_slot_wakes_a_watcher(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the mark, and tells; nothing else would have woken it for a minute."""
    monkeypatch.setattr(slots, "ASK_AGAIN_S", 9.0)
    one, other = pair
    claim, listener = one.claim("first"), Listener(other.redis, other)
    assert other.claim("second").verdict is FULL
    listener.watcher.arm()
    until(lambda: one.redis.info("clients")["blocked_clients"], "the watcher to wait")
    one.settle("first", claim)
    assert listener.is_told()
    assert not woken(other)
    listener.watcher.disarm()


def test_a_watcher_tells_now_and_then_without_a_mark(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not go on asking is forgotten."""
    monkeypatch.setattr(slots, "ASK_AGAIN_S", 0.05)
    worker = new()
    listener = Listener(worker.redis, worker)
    listener.watcher.arm()
    assert [listener.is_told() for _ in range(3)] == [True] * 3
    listener.watcher.disarm()


def test_a_watcher_survives_errors(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Redis, and of whoever is told."""
    monkeypatch.setattr(slots, "ASK_AGAIN_S", 0.05)
    monkeypatch.setattr(slots, "_PAUSE_S", 0.01)
    worker = new()
    told, errors = threading.Semaphore(0), iter([redis.ConnectionError("away"), ZeroDivisionError()])

    def key() -> str:
        if error := next(errors, None):
            raise error
        return KEYS.wake(worker.registry.owner)

    watcher = SlotWatcher(worker.redis, key, told.release)
    watcher.arm()
    assert told.acquire(timeout=30)
    watcher.disarm()
