"""Clears what is kept for nobody any more, and warns of a Redis that endangers jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from worker.maintenance.scheduler import Duty
from worker.store.delayed import prune
from worker.store.redis_health import warnings
from worker.store.scripts import Scripts
from worker.store.workers import WorkerRegistry

log = logging.getLogger(__name__)

TIDY_EVERY_S: Final = 600.0
PAGES_A_TURN: Final = 10
"""After an outage millions may expire together: the other duties come between."""


class Janitor:
    """Tidies up for all workers.

    Args:
        misspelt: a warning for each setting that names what there never was.
        keep_s: seconds for which jobs that ended badly stay among the dead letters.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        scripts: Scripts,
        keep_s: int,
        misspelt: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._misspelt = misspelt
        self._registry = registry
        self._scripts = scripts
        self._keep_s = keep_s
        self.duties = (Duty(self.prune, TIDY_EVERY_S), Duty(self.look_after, TIDY_EVERY_S))

    def prune(self) -> bool:
        """Clear old dead letters, a bounded number of pages; whether there are more."""
        return all(prune(self._scripts, self._keep_s) for _ in range(PAGES_A_TURN))

    def look_after(self) -> None:
        """Forget what is known of workers that are gone, and warn."""
        self._registry.forget_gone()
        for warning in (*warnings(self._scripts.client), *self._misspelt()):
            log.warning(warning)
