"""There and back: workers of the earlier revision are replaced by this version's, and these by the earlier's.

While it goes on jobs keep coming, of every kind of answer; in each direction one worker is killed instead of
stopped, Redis is killed once, and all work is paused and resumed once, while both kinds run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from tasks.contract import DEFAULT_QUEUE
from tasks.envelope import Job
from tests.chaos.arena import BATCHES, Arena
from tests.chaos.audit import Audit
from tests.chaos.orders import DOUBTS, FAULTS
from tests.chaos.scenarios import nobody, progress, settle
from tests.upgrade.fleet import SIZE, Fleet
from tests.upgrade.revision import Revision

KILLED: Final = 1
"""The place of the worker that is killed in each direction."""

PORTION: Final = 10
EARLY: Final = 6
"""Jobs with an argument that the earlier revision may not know, from producers upgraded too early."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was done while so many workers of the earlier revision ran, since the stretch before."""

    name: str
    earlier: int
    seconds: float
    jobs: int
    results: int
    billed: int


class Way:
    """One run.

    Attributes:
        stretches: what was measured so far.
    """

    def __init__(self, arena: Arena, revision: Revision, jobs: int) -> None:
        self._arena = arena
        self._revision = revision
        self._fleet = Fleet(arena, revision)
        self._jobs_each = max(PORTION, jobs // (2 * SIZE + 5))
        self._began, self._before = time.monotonic(), (0, 0, 0)
        self.stretches: list[Stretch] = []

    def go(self) -> list[str]:
        """All of it; returns what is not as promised."""
        self._fleet.start(earlier=True)
        self._feed("before")
        self._roll("upgrade", earlier=False)
        self._feed("upgraded", batches=True)
        if not self._revision.knows_batches:
            settle(self._arena)  # before earlier workers return, what they do not understand has to be done
        self._roll("roll back", earlier=True)
        self._feed("rolled back")
        settle(self._arena)
        self._fleet.check()
        self._measure("end")
        audit = Audit(self._arena, nobody, measured=self._revision.measures)
        return self._arena.complaints + audit.violations()

    def _roll(self, name: str, *, earlier: bool) -> None:
        for place in range(SIZE):
            self._fleet.replace(place, earlier=earlier, kill=place == KILLED)
            if place == KILLED:
                self._arena.kill_redis(self._arena.rng.uniform(0.2, 1))
            self._feed(f"{name}, {place + 1} of {SIZE}", early=place == 0 and not earlier)
            if place == 0:
                self._pause()

    def _feed(self, name: str, *, batches: bool = False, early: bool = False) -> None:
        """Have jobs come, little by little, until most of them are done."""
        jobs = self._jobs(batches=batches or self._revision.knows_batches)
        if early:
            jobs[:0] = [self._arena.order(batch=BATCHES[0]) for _ in range(EARLY)]
        while jobs:
            portion, jobs = jobs[:PORTION], jobs[PORTION:]
            self._arena.send(portion)
            time.sleep(self._arena.rng.uniform(0, 0.1))
        progress(self._arena, 0.8)
        self._fleet.check()
        self._measure(name)

    def _jobs(self, *, batches: bool) -> list[Job]:
        """Without a named batch, where an earlier worker would not know what that is."""
        options = {} if batches else {"batch": None}
        return self._arena.order_many(self._jobs_each, *FAULTS, *DOUBTS, **options)

    def _pause(self) -> None:
        """An operator pauses all work, and resumes it, while both kinds of workers run."""
        key = f"{DEFAULT_QUEUE}:paused"
        self._arena.redis.sadd(key, "*")
        self._arena.send(self._jobs(batches=self._revision.knows_batches))
        time.sleep(1)
        self._arena.redis.srem(key, "*")

    def _measure(self, name: str) -> None:
        billed = len(self._arena.vendor.get("ledger"))
        now = (len(self._arena.orders), len(self._arena.results()), billed)
        jobs, results, bought = (after - before for after, before in zip(now, self._before, strict=True))
        seconds, self._began, self._before = time.monotonic() - self._began, time.monotonic(), now
        self.stretches.append(Stretch(name, self._fleet.earlier, seconds, jobs, results, bought))

    def figures(self) -> Iterator[dict[str, Any]]:
        """The stretches as JSON values."""
        for stretch in self.stretches:
            yield asdict(stretch) | {"seconds": round(stretch.seconds, 1)}
