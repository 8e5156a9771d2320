"""The scenarios: each does harm while jobs run, and returns when every job should have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlsplit

from tasks.contract import DEFAULT_QUEUE
from tests.chaos.arena import Arena
from tests.chaos.audit import Doubtful
from tests.chaos.orders import DOUBTS, FAULTS
from tests.chaos.proxy import Proxy
from tests.conditions import until
from tests.integration.stage import KEYS
from worker.store.workers import SILENCE_S

FROZEN_S = SILENCE_S + 8


def nobody(_: object) -> bool:
    """No job has a reason to be in doubt but its own fault or a kill."""
    return False


def anybody(_: object) -> bool:
    """Any job may be in doubt: it is the connection to the vendor that is cut."""
    return True


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to do harm.

    ``share`` is how many of the jobs asked for it gets; ``disk_mb`` is the size of the disk that its Redis
    gets for itself, where it needs one.
    """

    name: str
    run: Callable[[Arena, int], None]
    share: float = 1.0
    doubtful: Doubtful = nobody
    bought_twice: bool = False
    sandbox: dict[str, float] = field(default_factory=lambda: {"latency_ms": 10, "jitter_ms": 20})
    disk_mb: int | None = None


def settle(arena: Arena) -> None:
    """Wait until all orders have ended; what has not by then is the audit's business.

    A healthy job comes now and then: with none but failing ones left it would be an outage, which they
    rightly wait out.
    """
    end = time.monotonic() + arena.patience_s
    fresh = time.monotonic() + 5
    while not arena.ended() and time.monotonic() < end and arena.anyone_works():
        if time.monotonic() > fresh:
            arena.send([arena.order()])
            fresh += 5
        time.sleep(0.05)


def progress(arena: Arena, share: float) -> None:
    """Wait until this share of the orders has results."""
    until(
        lambda: len(arena.results()) >= share * len(arena.orders),
        f"{share:.0%} of the jobs",
        arena.patience_s,
    )


def worker_kills(arena: Arena, jobs: int) -> None:
    """Two workers, one of which is killed at a random moment, again and again."""
    workers = [arena.start(), arena.start()]
    arena.send(arena.order_many(jobs, *FAULTS, *DOUBTS))
    for kill in range(10):
        progress(arena, kill / 12)
        time.sleep(arena.rng.uniform(0, 0.3))
        victim = arena.rng.randrange(2)
        arena.kill_worker(workers[victim])
        workers[victim] = arena.start()
    settle(arena)


def redis_kills(arena: Arena, jobs: int) -> None:
    """Redis is killed under load, and comes back with its append-only file."""
    arena.start()
    arena.start()
    arena.send(arena.order_many(jobs, *FAULTS, *DOUBTS))
    for kill in range(4):
        progress(arena, kill / 5)
        time.sleep(arena.rng.uniform(0, 0.3))
        arena.kill_redis(arena.rng.uniform(0, 2))
    settle(arena)


@contextmanager
def redis_proxy(arena: Arena) -> Iterator[Proxy]:
    """Between the workers started within the block and Redis."""
    with Proxy(arena.server.port, Random(arena.rng.random())).running() as proxy:
        arena.settings["REDIS_URL"] = f"redis://127.0.0.1:{proxy.port}/0"
        yield proxy
        proxy.share = 0.0
        settle(arena)
        arena.count["cuts"] += proxy.cuts
        for worker in arena.workers:
            worker.terminate()


@contextmanager
def vendor_proxy(arena: Arena) -> Iterator[Proxy]:
    """Between the workers started within the block and the vendor."""
    port = urlsplit(arena.vendor.url).port
    assert port
    with Proxy(port, Random(arena.rng.random())).running() as proxy:
        arena.settings["ENDPOINT"] = f"http://127.0.0.1:{proxy.port}"
        yield proxy
        proxy.share = 0.0
        settle(arena)
        arena.count["cuts"] += proxy.cuts


def redis_cuts(arena: Arena, jobs: int) -> None:
    """Connections to Redis end in the middle of a command or of its reply."""
    with redis_proxy(arena) as proxy:
        arena.start()
        arena.start()
        proxy.share = 0.01
        arena.send(arena.order_many(jobs, *FAULTS, *DOUBTS))
        progress(arena, 0.95)


def vendor_cuts(arena: Arena, jobs: int) -> None:
    """Connections to the vendor end in the middle of a request or of its answer, or are refused."""
    with vendor_proxy(arena) as proxy:
        arena.start()
        arena.start()
        proxy.share = 0.03
        arena.send(arena.order_many(jobs, *FAULTS))
        progress(arena, 0.3)
        proxy.refuse()
        time.sleep(1)
        proxy.listen()
        progress(arena, 0.95)


def resubmit(arena: Arena, jobs: int) -> None:
    """The same, and a killed worker, with the policy that buys again: every second purchase is flagged."""
    arena.settings["ON_UNKNOWN"] = "resubmit"
    with vendor_proxy(arena) as proxy:
        workers = [arena.start(), arena.start()]
        proxy.share = 0.03
        arena.send(arena.order_many(jobs))
        for kill in range(3):
            progress(arena, kill / 4)
            arena.kill_worker(workers[0])
            workers[0] = arena.start()
        progress(arena, 0.95)


def doubts(arena: Arena, jobs: int) -> None:
    """The vendor accepts and hangs, resets, answers garbage or a gateway's page."""
    arena.start(CONCURRENCY=32)
    arena.send(arena.order_many(jobs, *DOUBTS))
    settle(arena)


def clocks(arena: Arena, jobs: int) -> None:
    """A worker's wall clock jumps by ten minutes, and for a while by an hour, which the vendor refuses."""
    arena.start({"clock": [[0, 600], [2, -600], [4, 3600], [7, 0]]})
    arena.start({"clock": [[0, -600], [3, 86400], [5, 0]]})
    arena.send(arena.order_many(jobs, *FAULTS, *DOUBTS))
    for _ in range(20):
        time.sleep(0.3)
        arena.send(arena.order_many(3))
    settle(arena)


def frozen(arena: Arena, jobs: int) -> None:
    """A worker stands still beyond the silence, with attempts under way, and wakes up."""
    _stand_still(arena, jobs, FROZEN_S)


def frozen_briefly(arena: Arena, jobs: int) -> None:
    """A worker stands still for less than the silence: nobody may mistake it for a dead one."""
    _stand_still(arena, jobs, SILENCE_S / 2)
    arena.lost.clear()  # nothing may be in doubt


def _stand_still(arena: Arena, jobs: int, seconds: float) -> None:
    arena.settings["READ_TIMEOUT_S"] = 60
    sleeper, _ = arena.start(), arena.start()
    until(lambda: arena.redis.zcard(f"{DEFAULT_QUEUE}:workers") == 2, "two workers")
    arena.vendor.set("latency", latency_ms=300)
    arena.send(arena.order_many(jobs, *FAULTS))
    until(lambda: arena.sending_of(sleeper.process.pid), "attempts under way")
    arena.freeze(sleeper)
    arena.lost |= arena.sending_of(sleeper.process.pid)
    time.sleep(seconds)
    arena.thaw(sleeper)
    settle(arena)
    late_truth(arena)


def late_truth(arena: Arena, sent: Set[str] | None = None) -> None:
    """Wait until the worker that was away has told which of its attempts were accepted.

    Args:
        sent: the jobs that it was sending; all that are lost, where no other worker was harmed.
    """
    accepted = {post["sha256"] for post in arena.vendor.get("ledger")}
    sent = arena.lost if sent is None else sent
    paid = {job_id for job_id in sent if arena.orders[job_id].sha256 in accepted}
    until(
        lambda: all(arena.record(job_id)["state"] == "accepted" for job_id in paid),
        f"the late answers of {paid}",
    )


def partition(arena: Arena, jobs: int) -> None:
    """A worker is cut off from Redis beyond the silence, with answers it cannot write down."""
    arena.settings["READ_TIMEOUT_S"] = 60
    arena.start()
    with redis_proxy(arena) as proxy:
        remote = arena.start()
        until(lambda: arena.redis.zcard(f"{DEFAULT_QUEUE}:workers") == 2, "two workers")
        arena.vendor.set("latency", latency_ms=300)
        arena.send(arena.order_many(jobs, *FAULTS))
        until(lambda: arena.sending_of(remote.process.pid), "attempts under way")
        proxy.stalled = True
        arena.lost |= arena.sending_of(remote.process.pid)
        time.sleep(FROZEN_S)
        proxy.stalled = False
        late_truth(arena)


def wrong_key(arena: Arena, jobs: int) -> None:
    """The vendor refuses the key for a while, with workers killed meanwhile: no job is harmed."""
    arena.vendor.set("keys", keys=[])
    workers = [arena.start(), arena.start()]
    arena.send(arena.order_many(jobs, *FAULTS))
    until(lambda: arena.vendor.posts >= 2, "two refusals")
    arena.kill_worker(workers[0])
    arena.start()
    arena.vendor.set("keys", keys=[{"access_key": KEYS.access_key, "secret_key": KEYS.secret_key}])
    settle(arena)


def storm(arena: Arena, jobs: int) -> None:
    """All of it at once, but a vendor that is cut off."""
    with ExitStack() as stack:
        proxy = stack.enter_context(redis_proxy(arena))
        workers = [arena.start(), arena.start()]
        proxy.share = 0.003
        arena.send(arena.order_many(jobs, *FAULTS, *DOUBTS))
        for blow in range(8):
            progress(arena, blow / 10)
            time.sleep(arena.rng.uniform(0, 0.5))
            if arena.rng.random() < 0.5:
                arena.kill_redis(arena.rng.uniform(0, 1))
            arena.push_garbage()
            victim = arena.rng.randrange(2)
            arena.kill_worker(workers[victim])
            workers[victim] = arena.start()
        progress(arena, 0.95)


RANDOM = (
    Scenario("worker kills", worker_kills),
    Scenario("redis kills", redis_kills),
    Scenario("redis cuts", redis_cuts),
    Scenario("vendor cuts", vendor_cuts, doubtful=anybody),
    Scenario("resubmit", resubmit, doubtful=anybody, bought_twice=True),
    Scenario("doubts", doubts),
    Scenario("clock jumps", clocks, share=0.3),
    Scenario("wrong key", wrong_key, share=0.3),
    Scenario("frozen briefly", frozen_briefly, share=0.2),
    Scenario("frozen", frozen, share=0.2),
    Scenario("partition", partition, share=0.2),
    Scenario("storm", storm),
)
"""Scenarios in which chance decides where the harm is done."""
