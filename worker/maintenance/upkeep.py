"""What every worker does beside submitting, in one thread: beat, move due jobs, take over the dead.

Any number of workers may do it at once: each step is a bounded script that does its work once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from worker.local.inflight_log import Folder, InflightLog, forget
from worker.processing.flow_control import BREAKER, PAUSED, FlowControl
from worker.store.delayed import PromotionReport, finish, move_due, prune
from worker.store.queue import MessageQueue
from worker.store.recovery import Recovery
from worker.store.retrying import Away, in_words
from worker.store.scripts import Scripts
from worker.store.stats import warnings
from worker.store.workers import BEAT_S, Dead, WorkerRegistry

log = logging.getLogger(__name__)

TICK_S = 0.25
"""How late a job that is due may be moved, at most."""

MOVES_A_TICK = 20
"""A heap of due jobs must not keep the heartbeat waiting."""

LOOK_AFTER_S = 600.0
TELL_EVERY_S = 30.0

INSIST_S = 60.0
"""How long a dead worker is not taken over while Redis refuses to settle what it was paid for."""


class Upkeep:
    """The upkeep of one process.

    Args:
        folder: the in-flight logs of this machine.
        own: this process's.
        keep_s: seconds for which jobs that ended badly stay on their shelves.
        refused: whether the vendor refuses this process's configuration.
        trouble: what else keeps this process from working, in words; empty where nothing does.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        scripts: Scripts,
        recovery: Recovery,
        message_queue: MessageQueue,
        flow_control: FlowControl,
        folder: Folder,
        own: InflightLog,
        keep_s: int,
        refused: Callable[[], bool],
        trouble: Callable[[], str],
    ) -> None:
        self._registry = registry
        self._scripts = scripts
        self._recovery = recovery
        self._message_queue = message_queue
        self._flow_control = flow_control
        self._folder = folder
        self._own = own
        self._keep_s = keep_s
        self._refused = refused
        self._trouble = trouble
        self._stopped = threading.Event()
        self._duties: tuple[tuple[Callable[[], None], float], ...] = (
            (self._beat, BEAT_S),
            (self._recover_lost, BEAT_S),
            (self._look_after, LOOK_AFTER_S),
        )
        self._done_at = dict.fromkeys((duty for duty, _ in self._duties), float("-inf"))
        self._refused_since: dict[str, float] = {}
        self._told = float("-inf")
        self._braked = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="upkeep", daemon=True).start()

    def stop(self) -> None:
        """Beat no more. Not before all attempts in flight are settled: others would take them over."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(TICK_S):
            if self._registry.owner:
                self._tick()

    def _tick(self) -> None:
        for duty, every_s in self._duties:
            if time.monotonic() - self._done_at[duty] >= every_s and self._attempt(duty):
                self._done_at[duty] = time.monotonic()  # one that failed is due at the next tick
        self._attempt(self._move)

    def _attempt(self, duty: Callable[[], object]) -> bool:
        """Whether a duty could be done; one that cannot must not keep the others from being done."""
        try:
            duty()
        except Away as error:
            self._tell(in_words(error, "upkeep"))
        except Exception:
            if self._tell("upkeep failed in part; it goes on"):
                log.exception("what failed")
        else:
            return True
        return False

    def _tell(self, words: str) -> bool:
        """Warn, now and then; whether it was time."""
        due = time.monotonic() - self._told > TELL_EVERY_S
        if due:
            self._told = time.monotonic()
            log.warning("%s", words)
        return due

    def _move(self) -> None:
        for _ in range(MOVES_A_TICK):
            traffic = move_due(self._scripts)
            self._set_gate(traffic)
            if not traffic.more:
                return

    def _beat(self) -> None:
        if not self._registry.beat(self._message_queue.is_looked_at(), self._refused(), self._trouble()):
            log.warning("this worker was declared dead for its silence; it goes on under a new name")

    def _recover_lost(self) -> None:
        """Take over what dead workers and cut connections left, and finish what was refused."""
        for dead in self._registry.dead():
            self._attempt(partial(self._take_over, dead))
        self._attempt(self._settle_abandoned)
        self._attempt(partial(finish, self._scripts))
        if recovered := self._message_queue.recover():
            log.info("recovered %d messages whose delivery was cut off", recovered)

    def leave(self) -> int:
        """Say goodbye: settle what is known of its own claims, give back the rest; how many messages.

        Raises:
            redis.RedisError: Redis is away.
        """
        self._recovery.recover(self._registry.owner, self._own.known())
        return self._registry.leave()

    def _take_over(self, dead: Dead) -> None:
        path = self._folder.of(dead.process_id)
        found = self._folder.read(path) if path else None
        if found and not dead.known:
            found = replace(found, complete=False)  # it may be alive, and send yet
        unsent = settled = 0
        try:
            # While its name is still there, so that nobody takes its claims for unresolved meanwhile.
            unsent, settled = self._recovery.recover(dead.owner, found) if found else (0, 0)
        except Away:
            if time.monotonic() - self._refused_since.setdefault(dead.owner, time.monotonic()) < INSIST_S:
                raise
            found = None  # its messages must not wait for ever; its log stays, and is settled later
        taken = self._registry.take_over(dead)
        self._refused_since.pop(dead.owner, None)
        if taken is not None:
            forget(path if found and dead.known else None)
            log.warning(
                "worker %s is dead: %d messages back; attempts: %d never left, %d accepted, %d unresolved",
                dead.owner, taken[0], unsent, settled, taken[1],
            )  # fmt: skip

    def _settle_abandoned(self) -> None:
        """Settle what the logs of processes that nobody knows any more say was accepted, and remove them."""
        abandoned = self._folder.abandoned()
        known = (
            {self._folder.of(process_id) for process_id in self._registry.process_identity()}
            if abandoned
            else set()
        )
        for path in abandoned:
            if path not in known:  # else taking that worker over needs it
                self._attempt(partial(self._settle_log, path))

    def _settle_log(self, path: Path) -> None:
        found = self._folder.read(path)
        if found is None:
            return  # of another version, perhaps: it is not ours to remove
        settled = self._recovery.settle_answered(found)
        forget(path)
        if settled:
            log.warning("%d attempts that a worker which is gone was paid for are settled", settled)

    def _look_after(self) -> None:
        """Clear old shelves, and warn of a Redis that endangers jobs."""
        while prune(self._scripts, self._keep_s):
            pass
        self._registry.forget_routes()
        for warning in warnings(self._scripts.client):
            log.warning(warning)

    def _set_gate(self, traffic: PromotionReport) -> None:
        """Let the gate follow what all workers share."""
        if traffic.stepped_back_s:
            log.error(
                "Redis's clock stepped back by %.0f s: what was to happen later is taken for now",
                traffic.stepped_back_s,
            )
        if traffic.paused:
            self._flow_control.close(PAUSED)
        else:
            self._flow_control.open(PAUSED)
        braked = traffic.brake_s is not None
        if braked != self._braked:
            self._braked = braked
            if braked:
                log.error("the vendor is down: intake stops, one job at a time probes")
            else:
                log.warning("the vendor is back: intake goes on, step by step")
        self._flow_control.narrow(BREAKER, braked)
        if traffic.brake_s:
            self._flow_control.close(BREAKER, traffic.brake_s)
        else:
            self._flow_control.open(BREAKER)
