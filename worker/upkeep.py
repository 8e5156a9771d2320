"""What every worker does beside submitting, in one thread: beat, move due jobs, take over the dead.

Any number of workers may do it at once: each step is a bounded script that does its work once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from worker.store.intake import Intake
from worker.store.members import BEAT_S, Membership
from worker.store.scripts import Away

log = logging.getLogger(__name__)

TICK_S = 0.25
"""How late a job that is due may be moved, at most."""


class Upkeep:
    """The upkeep of one process.

    Args:
        move_due: moves due jobs to the queue; returns how many, at most `MOVE_MOST`.
    """

    def __init__(
        self, members: Membership, move_due: Callable[[], int], intake: Intake, stop: threading.Event
    ) -> None:
        self._members = members
        self._move_due = move_due
        self._intake = intake
        self._stop = stop
        self._next_beat = 0.0

    def start(self) -> None:
        threading.Thread(target=self._run, name="upkeep", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                self._tick()
            except Away:
                log.debug("Redis is away; upkeep waits", exc_info=True)
            except Exception:
                log.exception("upkeep failed; it goes on")

    def _tick(self) -> None:
        if not self._members.owner:
            return
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT_S
            if not self._members.beat(self._intake.is_looked_at()):
                log.warning("this worker was declared dead for its silence; it goes on under a new name")
            for owner, (given, unresolved) in self._members.take_over().items():
                log.warning(
                    "worker %s is dead: %d messages went back, %d attempts are unresolved",
                    owner,
                    given,
                    unresolved,
                )
            if recovered := self._intake.recover():
                log.info("recovered %d messages whose delivery was cut off", recovered)
        while self._move_due():
            pass
