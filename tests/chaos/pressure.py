"""Jobs that keep coming, and what makes the rarer steps of their way happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import redis

from tasks.contract import DEFAULT_QUEUE
from tests.chaos.arena import Arena
from tests.chaos.orders import FAULTS, LONG_AGO_MS
from tests.conditions import until
from tests.integration.stage import CAT, Worker

PAUSED: Final = f"{DEFAULT_QUEUE}:paused"
BEAT_S: Final = 0.25
Provocation = Callable[[Arena], None]


def _paused_for_all(arena: Arena) -> None:
    _paused(arena, "*")


def _paused_for_workflow(arena: Arena) -> None:
    _paused(arena, str(CAT["workflow"]))


def _paused(arena: Arena, what: str) -> None:
    """What was claimed in vain is given back, or put into its workflow's backlog."""
    with suppress(redis.ResponseError):
        arena.redis.sadd(PAUSED, what)
        try:
            arena.send(arena.order_many(4))
            time.sleep(0.2)
        finally:
            arena.redis.srem(PAUSED, what)


def _late(arena: Arena) -> None:
    """Its deadline has passed, as its first claim shows, which is withdrawn."""
    arena.send([arena.order(ends="exhausted", enqueued_ms=LONG_AGO_MS)])


def _failing(arena: Arena) -> None:
    arena.send([arena.order("[[sys_error*1]]")])


def _throttled(arena: Arena) -> None:
    arena.send([arena.order("[[throttle*1]]")])


def _malformed(arena: Arena) -> None:
    with suppress(redis.ResponseError):
        arena.push_garbage()


def _in_doubt(arena: Arena) -> None:
    arena.send([arena.order("[[garbage*1]]", "unknown")])


def _batch(arena: Arena) -> None:
    """A batch's message is acknowledged by itself."""
    arena.send_together(arena.order_many(3))


def a_death(arena: Arena) -> None:
    """A worker is killed, and the others take over what it held."""
    before = arena.redis.zcard(f"{DEFAULT_QUEUE}:workers")
    victim = arena.start()
    until(lambda: arena.redis.zcard(f"{DEFAULT_QUEUE}:workers") > before, "the worker that is to die")
    arena.send(arena.order_many(6))
    arena.kill_worker(victim)


PROVOCATIONS: Final[dict[str, Provocation]] = {
    "reschedule": _failing,
    "release": _paused_for_all,
    "withdraw": _late,
    "backlog": _paused_for_workflow,
    "quarantine": _malformed,
    "slow_down": _throttled,
    "hdel": _batch,
    "acknowledge": _batch,
}
"""What makes a script run that not every job needs."""

ALL: Final[tuple[Provocation, ...]] = (
    _failing, _late, _batch, _paused_for_all, _malformed, _in_doubt, _paused_for_workflow, _failing,
    _throttled,
)  # fmt: skip


def press(
    arena: Arena,
    enough: Callable[[], bool],
    *provocations: Provocation,
    least_s: float = 0.0,
    most_s: float = 20.0,
    quiet: bool = False,
) -> bool:
    """Order a few jobs every quarter of a second, and provoke in turn, until it is enough; whether it was.

    Args:
        quiet: order nothing, for no producer could.
    """
    start, turn = time.monotonic(), 0

    def done() -> bool:
        return enough() and time.monotonic() - start >= least_s

    while time.monotonic() - start < most_s:
        if done():
            return True
        if not quiet:
            with suppress(redis.ResponseError):
                arena.send(arena.order_many(2, *FAULTS))
            if provocations and (turn < len(provocations) or turn % 4 == 0):
                provocation = provocations[turn % len(provocations)]
                if turn < len(provocations) or provocation is not _throttled:
                    provocation(arena)
        turn += 1
        _wait(done, BEAT_S)
    return done()


def _wait(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        time.sleep(0.01)


def two_workers(arena: Arena) -> Sequence[Worker]:
    """Two workers that have joined."""
    workers = (arena.start(), arena.start())
    until(lambda: arena.redis.zcard(f"{DEFAULT_QUEUE}:workers") == 2, "two workers")
    return workers
