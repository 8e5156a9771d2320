"""A worker is killed exactly before or after each point at which something outside of it changes."""

from __future__ import annotations

from tasks.contract import DEFAULT_QUEUE
from tests.chaos.arena import Arena
from tests.chaos.orders import FAULTS, LONG_AGO_MS
from tests.chaos.scenarios import Scenario, settle
from tests.chaos.victim import POINTS
from tests.conditions import until
from tests.integration.stage import Worker

PAUSED = f"{DEFAULT_QUEUE}:paused"
_PASS = {
    **dict.fromkeys(("release", "slow_down", "quarantine", "withdraw", "takeover", "acknowledge"), 1),
    "heartbeat": 2,
}
"""Points that are passed but once, or of which the first pass is a worker's start."""


def _killed_at(point: str, when: str) -> Scenario:
    def run(arena: Arena, jobs: int) -> None:
        arena.settings |= {"CONCURRENCY": 4}
        arena.push_garbage()
        arena.send([arena.order(ends="exhausted", enqueued_ms=LONG_AGO_MS)])  # its deadline has passed
        arena.send(arena.order_many(min(jobs, 60), *FAULTS))
        if point == "takeover":
            note_end(arena, arena.start({"point": "send", "when": "after", "pass": 3}))
        if point == "release":
            arena.redis.sadd(PAUSED, "*")  # what is taken is given back
        nth = _PASS.get(point) or arena.rng.randint(1, 6)
        victim = arena.start({"point": point, "when": when, "pass": nth})
        note_end(arena, victim)
        arena.redis.delete(PAUSED)
        arena.start()
        settle(arena)

    run.__doc__ = f"A worker is killed right {when} it {point}s."
    return Scenario(f"{when} {point}", run)


def note_end(arena: Arena, victim: Worker) -> None:
    """Wait for a worker to end itself."""
    until(lambda: victim.process.poll() is not None, f"the point to be reached\n{victim.output()[-2000:]}")
    assert victim.process.returncode == -9, victim.output()[-2000:]
    arena.note_death(victim)


KILLS = tuple(_killed_at(point, when) for point in POINTS for when in ("before", "after"))
