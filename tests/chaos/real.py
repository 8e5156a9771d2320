"""A real Redis that refuses, without a proxy: no right, a key of a wrong type, no memory, disk or replica.

While it lasts jobs keep coming, as far as producers can enqueue them. When it is mended every job must end,
by itself or after a restart, and what had been bought before is bought no more.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from tasks.contract import DEFAULT_QUEUE, DEFAULT_RESULTS, queue_lists
from tests.chaos.arena import Arena
from tests.chaos.commands import lua_texts
from tests.chaos.pressure import ALL, press, two_workers
from tests.chaos.refusals import CONCURRENCY, OPERATORS, bought_after, finish, restarted, simplify
from tests.chaos.scenarios import Scenario, progress
from tests.chaos.ways import (
    Way,
    add_user,
    configured,
    errors,
    fail_snapshot,
    fill_disk,
    free_disk,
    held_keys,
    mend_snapshot,
    one_record,
    replica_of_nobody,
    without_command,
    wrong_type,
)  # fmt: skip
from tests.integration.stage import CAT

LASTS_S, LONG_S = 3.0, 10.0
LOAD: Final = 0.1
"""Of the jobs asked for: there are more while it lasts."""


class _FirstRefusal:
    """Whether Redis has refused since this was made, and when that was seen first."""

    def __init__(self, arena: Arena, way: Way) -> None:
        self._arena, self._way = arena, way
        self._before = way.refused(arena)
        self.at = float("inf")

    def __call__(self) -> bool:
        if self.at == float("inf") and self._way.refused(self._arena) > self._before:
            self.at = time.monotonic()
        return self.at < float("inf")


def _under(way: Way, arena: Arena, jobs: int, early: bool) -> None:
    """Let Redis refuse for some seconds, and complain if more is bought meanwhile than can be settled."""
    seen = _FirstRefusal(arena, way)
    if early:
        way.refuse(arena)
    arena.send(arena.order_many(jobs, *(() if early else SOME_FAULTS)))
    if not early:
        progress(arena, 0.05)
        way.refuse(arena)
    published, refused = len(arena.channel), time.monotonic()
    way.first(arena)
    seconds = LONG_S if arena.long else LASTS_S
    press(arena, seen, *ALL, least_s=seconds, most_s=seconds + 10, quiet=way.quiet or early)
    end = time.monotonic()
    if way.sure and seen.at > end:
        arena.complaints.append("Redis refused nothing")
    in_flight, since = 2 * CONCURRENCY, seen.at
    if since > end:  # the scripts looked before they wrote, and nobody saw when
        in_flight, since = 2 * in_flight, refused
    bought, settled = bought_after(arena, since, end), len(arena.channel) - published
    if bought > settled + in_flight and not arena.unpublished:
        arena.complaints.append(
            f"{bought} bought after the first refusal, {settled} results, {in_flight} could be in flight"
        )


def _scenario(way: Way, form: str = "", *, early: bool = False) -> Scenario:
    def run(arena: Arena, jobs: int) -> None:
        simplify(arena)
        add_user(arena)
        arena.settings |= {"RATE_PER_S": 1000, "MAX_INFLIGHT": 1000}
        arena.vendor.set("latency", latency_ms=100)
        workers = two_workers(arena)
        _under(way, arena, jobs, early)
        if form != "restart":
            way.mend(arena)
        if form:
            restarted(arena, workers, (lambda: way.mend(arena)) if form == "restart" else _mended)
        finish(arena)
        arena.count["refusals"] += way.refused(arena)

    run.__doc__ = f"{way.name}, for some seconds under load."
    name = f"refused real {way.name}{', early' if early else ''}{form and ', '}{form}"
    return Scenario(name, run, share=LOAD, disk_mb=way.disk_mb)


def _mended() -> None: ...


SOME_FAULTS: Final = (("[[sys_error*1]]", "submitted"), ("[[param_error*1]]", "rejected"))


def _commands() -> dict[str, bool]:
    """The commands of the scripts on a job's way and of the worker itself; whether they must come by."""
    words = {
        word.lower()
        for name, text in lua_texts().items()
        if name not in OPERATORS
        for word in re.findall(r"[({]'([A-Z]{3,})'", text)
    }
    sure = {
        "evalsha", "publish", "hset", "hget", "hmget", "hdel", "hincrby", "zadd", "zrem", "zscore", "zrange",
        "rpush", "rpop", "lpush", "xadd", "expire", "set", "get", "exists", "hgetall", "sismember",
    }  # fmt: skip
    return {
        word: word in sure
        for word in sorted(words | sure | {"blmove", "config", "hkeys", "info", "ping", "script", "time"})
    }


def _fixed(*names: str, kind: str = "string") -> list[Way]:
    return [
        wrong_type(name, lambda arena, name=name: [f"{DEFAULT_QUEUE}:{name}"], kind=kind)  # type: ignore[misc]
        for name in names
    ]


def _lists() -> list[Way]:
    def keys_of(name: str) -> Callable[[Arena], list[str]]:
        return lambda arena: [name]

    return [
        wrong_type(re.sub(r"[^\w.]+", "_", name), keys_of(name), quiet=name == DEFAULT_QUEUE)
        for name in queue_lists(DEFAULT_QUEUE)
    ]


RESULTS: Final = wrong_type("results", lambda arena: [DEFAULT_RESULTS])
NO_XADD: Final = without_command("xadd", sure=True)
WAYS: Final = (
    *(
        without_command(command, sure=sure)
        for command, sure in _commands().items()
        if command != "xadd"
    ),
    *_fixed("sending", "waiting", "waiting:messages", "counters", "workers", "homes", "pulses", "malformed"),
    *_fixed("brake", "pace", "metrics"),
    *_fixed("shelf:rejected", "shelf:exhausted", "shelf:unknown", "shelf:messages", "shelf:results"),
    *_fixed("batch:night", "cancels"),
    *_fixed("sidings", f"siding:{CAT['workflow']}", "paused", "refused"),
    *_fixed("rate", kind="list"),
    *_lists(),
    wrong_type("unacked", held_keys),
    wrong_type("one record", one_record),
    configured("OOM", "maxmemory", 1, "OOM"),
    configured("NOREPLICAS", "min-replicas-to-write", 1, "NOREPLICAS"),
    Way(
        "READONLY", replica_of_nobody, lambda arena: arena.redis.execute_command("REPLICAOF", "NO", "ONE"),
        errors("READONLY"), quiet=True,
    ),
    Way("MISCONF", fail_snapshot, mend_snapshot, errors("MISCONF"), quiet=True),
    Way("full disk", fill_disk, free_disk, errors("MISCONF"), quiet=True, disk_mb=16),
)  # fmt: skip
PURCHASES: Final = tuple(
    _scenario(way, form, early=early)
    for way in (RESULTS, NO_XADD)
    for early in (False, True)
    for form in ("", "restart", "mended, restart")
)
"""The two refusals after which jobs were bought a second time, in each form."""
REAL: Final = (*PURCHASES, *(_scenario(way) for way in WAYS))
