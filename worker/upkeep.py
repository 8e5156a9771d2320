"""What every worker does beside submitting, in one thread: beat, move due jobs, take over the dead.

Any number of workers may do it at once: each step is a bounded script that does its work once.
"""

from __future__ import annotations

import logging
import threading
import time

from worker.gate import BRAKE, PAUSED, Gate
from worker.store.intake import Intake
from worker.store.members import BEAT_S, Membership
from worker.store.scripts import Away, Scripts
from worker.store.waiting import Traffic, move_due

log = logging.getLogger(__name__)

TICK_S = 0.25
"""How late a job that is due may be moved, at most."""


class Upkeep:
    """The upkeep of one process."""

    def __init__(
        self, members: Membership, scripts: Scripts, intake: Intake, gate: Gate, stop: threading.Event
    ) -> None:
        self._members = members
        self._scripts = scripts
        self._intake = intake
        self._gate = gate
        self._stop = stop
        self._next_beat = 0.0
        self._braked = False

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
        traffic = move_due(self._scripts)
        while traffic.more:
            traffic = move_due(self._scripts)
        self._set_gate(traffic)

    def _set_gate(self, traffic: Traffic) -> None:
        """Let the gate follow what all workers share."""
        if traffic.paused:
            self._gate.close(PAUSED)
        else:
            self._gate.open(PAUSED)
        braked = traffic.brake_s is not None
        if braked != self._braked:
            self._braked = braked
            if braked:
                log.error("the vendor is down: intake stops, one job at a time probes")
            else:
                log.warning("the vendor is back: intake goes on, step by step")
        self._gate.narrow(BRAKE, braked)
        if traffic.brake_s:
            self._gate.close(BRAKE, traffic.brake_s)
        else:
            self._gate.open(BRAKE)
