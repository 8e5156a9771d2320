"""Takes over what dead workers and cut connections left, and finishes what Redis had refused."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from tasks.result import NewerResult
from worker.local.inflight_folder import LogFolder
from worker.local.inflight_log import InflightLog, forget
from worker.maintenance.scheduler import Duty, DutyGuard
from worker.store.delayed import finish
from worker.store.queue import MessageQueue
from worker.store.recovery import Recovery
from worker.store.redis_wait import Away
from worker.store.scripts import Scripts
from worker.store.workers import Dead, WorkerRegistry

log = logging.getLogger(__name__)
T = TypeVar("T")

RECOVER_EVERY_S: Final = 3.0
INSIST_S: Final = 60.0
"""How long a dead worker is not taken over while Redis refuses to settle what it was paid for."""

MOST_A_TURN: Final = 20
"""Dead workers, and logs, seen to before due jobs have their turn again."""


class Recoverer:
    """Recovers for all workers of the queue, and, at its end, for its own process.

    Args:
        folder: the in-flight logs of this machine.
        own: this process's.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        scripts: Scripts,
        recovery: Recovery,
        message_queue: MessageQueue,
        folder: LogFolder,
        own: InflightLog,
    ) -> None:
        self._registry = registry
        self._scripts = scripts
        self._recovery = recovery
        self._message_queue = message_queue
        self._folder = folder
        self._own = own
        self._guard = DutyGuard()
        self._refused_since: dict[str, float] = {}
        self._left: set[Path | None] = set()
        self.duties = (Duty(self.recover, RECOVER_EVERY_S),)

    def recover(self) -> None:
        """See to a bounded number of dead workers and logs; the next turn goes on."""
        for dead in _some(self._registry.dead()):
            self._guard.attempt(partial(self._take_over, dead))
        self._guard.attempt(self._settle_abandoned)
        self._guard.attempt(partial(finish, self._scripts))
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
        path = self._folder.of(dead.identity)
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
        except NewerResult as error:
            self._leave_log(path, error)
            found = None
        taken = self._registry.take_over(dead)
        self._refused_since.pop(dead.owner, None)
        if taken is not None:
            forget(path if found and dead.known else None)
            log.warning(
                "worker %s is dead: %d messages back; attempts: %d never left, %d accepted, %d unresolved",
                dead.owner, taken[0], unsent, settled, taken[1],
            )  # fmt: skip

    def _settle_abandoned(self) -> None:
        """See to the logs of processes that nobody knows any more."""
        abandoned = self._folder.abandoned()
        if not abandoned:
            return
        # To take a worker over that is known still, its log is needed.
        known = {self._folder.of(identity) for identity in self._registry.identities()}
        for path in _some([path for path in abandoned if path not in known]):
            self._guard.attempt(partial(self._settle_log, path))

    def _settle_log(self, path: Path) -> None:
        """Settle what the log says was accepted, and remove it."""
        found = self._folder.read(path)
        if found is None:
            return  # of another version, perhaps: it is not ours to remove
        try:
            settled = self._recovery.settle_answered(found)
        except NewerResult as error:
            self._leave_log(path, error)
            return
        forget(path)
        if settled:
            log.warning("%d attempts that a worker which is gone was paid for are settled", settled)

    def _leave_log(self, path: Path | None, error: NewerResult) -> None:
        """A worker of a later version was paid, and only such a one can settle that."""
        if path not in self._left:
            self._left.add(path)
            log.warning("%s keeps what a worker was paid for: %s; a newer worker settles it", path, error)


def _some(found: Sequence[T]) -> list[T]:
    """As many as one turn sees to; drawn, so that those that always fail do not keep out the others."""
    return random.sample(found, min(MOST_A_TURN, len(found)))
