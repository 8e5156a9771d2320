"""Says that this worker is alive, in a thread of its own: nothing else that takes long may delay it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from worker.maintenance.scheduler import Duty, Scheduler
from worker.processing.redis_outage import RedisOutage
from worker.store.redis_wait import Away, Refused, in_words
from worker.store.workers import BEAT_S, WorkerRegistry

log = logging.getLogger(__name__)


class Heartbeat(Scheduler):
    """The heartbeat of one process.

    To be stopped only once all attempts in flight are settled: others would take them over.

    Args:
        consumes: whether it takes messages, and its jobs go on.
        refusal: what the vendor answered, where it refuses this process's configuration; else empty.
        outage: told whether Redis answers.
        trouble: what else keeps this process from working, in words; empty where nothing does.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        consumes: Callable[[], bool],
        refusal: Callable[[], str],
        trouble: Callable[[], str],
        outage: RedisOutage,
    ) -> None:
        super().__init__("heartbeat", [Duty(self._beat, BEAT_S)], ready=lambda: bool(registry.owner))
        self._registry = registry
        self._consumes = consumes
        self._refusal = refusal
        self._trouble = trouble
        self._outage = outage

    def _beat(self) -> None:
        try:
            alive = self._registry.beat(self._consumes(), self._refusal(), self._trouble())
        except Away as error:
            if not isinstance(error, Refused):
                self._outage.failed("heartbeats", in_words(error, "the heartbeat"))
            raise
        self._outage.answered("heartbeats")
        if not alive:
            log.warning("this worker was declared dead for its silence; it goes on under a new name")
