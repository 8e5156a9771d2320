"""What a soak does to the programs: each does harm while jobs run, and mends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tasks import cancel
from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS
from tests.chaos.orders import DOUBTS, FAULTS, LONG_AGO_MS
from tests.chaos.proxy import Proxy
from tests.chaos.scenarios import FROZEN_S, late_truth
from tests.chaos.ways import Way, configured, errors, replica_of_nobody, wrong_type
from tests.conditions import until
from tests.integration.stage import CAT, KEYS
from worker.store.dead_letters import DeadLetterFilter
from worker.store.workers import SILENCE_S

if TYPE_CHECKING:
    from tests.chaos.soak import Soak

PAUSED: Final = f"{DEFAULT_QUEUE}:paused"
BRIEFLY_S: Final = SILENCE_S / 2
KINDS: Final = (*FAULTS, *DOUBTS)


def none(soak: Soak) -> None:
    """Jobs of every kind, undisturbed."""
    soak.work(120)


def worker_kill(soak: Soak) -> None:
    """A worker is killed under load."""
    soak.work(60, wait=0.3)
    soak.kill()
    soak.work(30)


def redis_kill(soak: Soak) -> None:
    """Redis is killed."""
    soak.work(60, wait=0.3)
    soak.arena.kill_redis(soak.rng.uniform(0, 2))
    soak.work(30)


def both_kills(soak: Soak) -> None:
    """Redis and a worker are killed one right after the other."""
    soak.work(60, wait=0.2)
    soak.arena.kill_redis(soak.rng.uniform(0, 0.5))
    soak.kill()
    soak.work(30)


def redis_cuts(soak: Soak) -> None:
    """Connections of all workers to Redis end in the middle of commands and replies."""
    soak.redis_proxy.share = 0.01
    soak.work(120)
    soak.redis_proxy.share = 0.0


def vendor_cuts(soak: Soak) -> None:
    """Connections to the vendor end in the middle of requests and answers, and are refused for a while."""
    soak.calm()
    before = set(soak.arena.orders)
    soak.vendor_proxy.share = 0.03
    soak.work(60)
    soak.vendor_proxy.refuse()
    time.sleep(2)
    soak.vendor_proxy.listen()
    soak.work(30)
    soak.vendor_proxy.share = 0.0
    soak.arena.cut_off |= soak.arena.orders.keys() - before


def wrong_key(soak: Soak) -> None:
    """The vendor refuses the key for some seconds."""
    soak.arena.vendor.set("keys", keys=[])
    soak.work(30, wait=0.0)
    time.sleep(3)
    good = {"access_key": KEYS.access_key, "secret_key": KEYS.secret_key}
    soak.arena.vendor.set("keys", keys=[good])
    soak.work(10)


def clock(soak: Soak) -> None:
    """A further worker's clock jumps by minutes, and by an hour."""
    worker = soak.arena.start({"clock": [[0, 600], [2, -600], [4, 3600], [6, 0]]})
    soak.work(60, wait=0.5)
    time.sleep(7)
    soak.work(30)
    soak.stop(worker)


def frozen(soak: Soak) -> None:
    """A further worker stands still beyond the silence, with attempts under way, and wakes up."""
    sent = _stand_still(soak, FROZEN_S)
    soak.arena.lost |= sent


def frozen_briefly(soak: Soak) -> None:
    """A further worker stands still for less than the silence: nobody takes it for dead."""
    _stand_still(soak, BRIEFLY_S)


def _stand_still(soak: Soak, seconds: float) -> set[str]:
    """What it was sending."""
    arena = soak.arena
    with _slow_vendor(soak):
        sleeper = soak.start(READ_TIMEOUT_S=60)
        soak.work(100, wait=0.0, plain=True)
        until(lambda: arena.sending_of(sleeper.process.pid), "attempts under way")
        arena.freeze(sleeper)
        sent = arena.sending_of(sleeper.process.pid)
        time.sleep(seconds)
        arena.thaw(sleeper)
        soak.calm()
        late_truth(arena, sent)
        soak.stop(sleeper)
    return sent


def partition(soak: Soak) -> None:
    """A further worker is cut off from Redis beyond the silence, with answers it cannot write down."""
    arena = soak.arena
    with _slow_vendor(soak), Proxy(arena.server.port, soak.rng).running() as proxy:
        remote = soak.start(READ_TIMEOUT_S=60, REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0")
        soak.work(100, wait=0.0, plain=True)
        until(lambda: arena.sending_of(remote.process.pid), "attempts under way")
        proxy.stalled = True
        sent = arena.sending_of(remote.process.pid)
        arena.lost |= sent
        time.sleep(FROZEN_S)
        proxy.stalled = False
        late_truth(arena, sent)
        soak.calm()
        soak.stop(remote)


@contextmanager
def _slow_vendor(soak: Soak) -> Iterator[None]:
    soak.calm()
    soak.arena.vendor.set("latency", latency_ms=300)
    yield
    soak.arena.vendor.set("latency", latency_ms=10)


def rolling_restart(soak: Soak) -> None:
    """All workers but the one that is measured are replaced, one after the other."""
    for place in range(len(soak.others)):
        soak.work(40, wait=0.2)
        soak.replace(place)
    soak.work(20)


def pause(soak: Soak) -> None:
    """An operator pauses all work, and one workflow, and resumes it."""
    for what in ("*", str(CAT["workflow"])):
        soak.work(20, wait=0.2)
        soak.arena.redis.sadd(PAUSED, what)
        soak.work(40, wait=0.0)
        time.sleep(1)
        soak.arena.redis.srem(PAUSED, what)
    soak.work(20)


def cancelled(soak: Soak) -> None:
    """Producers withdraw jobs that wait; who is told so has nothing bought for them."""
    soak.calm()
    soak.arena.redis.sadd(PAUSED, "*")
    jobs = [soak.arena.order(batch=None) for _ in range(30)]
    soak.arena.send(jobs)
    soak.arena.cancelled |= {job.id for job in jobs[:15] if cancel(job.id)}
    soak.arena.redis.srem(PAUSED, "*")
    soak.work(20)


def decisions(soak: Soak) -> None:
    """An operator decides about jobs that are held: accepted, discarded, or queued again."""
    soak.calm()
    bought = {post["sha256"]: post["taskId"] for post in soak.arena.vendor.get("ledger")}
    held = list(soak.dead_letters.find(DeadLetterFilter(states=("unknown",))))
    fresh = [result for result in held if result.job_id not in soak.arena.decided]
    for result in soak.rng.sample(fresh, min(10, len(fresh))):
        soak.arena.decided.add(result.job_id)
        if task_id := bought.get(soak.arena.orders[result.job_id].sha256):
            soak.arena.count["accepted by hand"] += soak.dead_letters.accept(result, task_id, "soak")
        elif soak.rng.random() < 0.5:
            soak.dead_letters.discard(result, "soak")
        else:
            soak.dead_letters.retry(result, "soak")
    soak.work(10)


def refused(soak: Soak) -> None:
    """Redis refuses: no memory, no replica, read-only, or a key is of another type."""
    way = soak.rng.choice(WAYS)
    soak.work(80, wait=0.2)
    way.refuse(soak.arena)
    time.sleep(soak.rng.uniform(1, 4))
    way.mend(soak.arena)
    soak.arena.count["refusals"] += 1
    soak.work(40)


def odd_messages(soak: Soak) -> None:
    """Messages that are none, and jobs whose deadline has passed."""
    soak.arena.push_garbage()
    soak.arena.send([soak.arena.order(ends="exhausted", enqueued_ms=LONG_AGO_MS)])
    soak.work(30)


def endpoint_away(soak: Soak) -> None:
    """The shop's endpoint answers 503 for a while, and the forwarder is killed."""
    soak.forwarding.refuses = True
    soak.work(40)
    soak.forwarding.restart()
    soak.work(20)
    soak.forwarding.refuses = False


def _of_key(name: str) -> Way:
    return wrong_type(name, lambda _: [f"{DEFAULT_QUEUE}:{name}"])


WAYS: Final = (
    configured("OOM", "maxmemory", 1, "OOM"),
    configured("NOREPLICAS", "min-replicas-to-write", 1, "NOREPLICAS"),
    Way(
        "READONLY", replica_of_nobody, lambda arena: arena.redis.execute_command("REPLICAOF", "NO", "ONE"),
        errors("READONLY"),
    ),
    wrong_type("results", lambda _: [DEFAULT_RESULTS]),
    *map(_of_key, ("counters", "metrics", "waiting", "sending", "shelf:messages", "brake")),
)  # fmt: skip

HARMS: Final[tuple[Callable[[Soak], None], ...]] = (
    none, worker_kill, redis_kill, both_kills, redis_cuts, vendor_cuts, wrong_key, clock, frozen,
    frozen_briefly, partition, rolling_restart, pause, cancelled, decisions, refused, odd_messages,
    endpoint_away,
)  # fmt: skip
"""All there are; a soak goes through them in an order of its own, again and again."""
