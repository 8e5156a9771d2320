"""Writes down the queue's totals once a minute, for plots over the last hour and day."""

from __future__ import annotations

import logging
from typing import Final

from worker.maintenance.scheduler import Duty
from worker.store.history import take
from worker.store.keys import KeyNames
from worker.store.redis_wait import Away, in_words
from worker.store.scripts import Scripts

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 20.0
"""Of each worker, whether some other has: so that there is no gap when one ends."""


class HistoryRecorder:
    """One script every `LOOK_EVERY_S`; what it costs more than that, one worker of all pays once a minute."""

    def __init__(self, scripts: Scripts, keys: KeyNames) -> None:
        self._scripts = scripts
        self._keys = keys
        self._is_told = False
        self.duties = (Duty(self.record, LOOK_EVERY_S),)

    def record(self) -> None:
        """Add a sample, if one is due. Raises nothing for a Redis that is away or refuses.

        A duty that raises is done again with the next tick. This one asks Redis for much, in vain while it
        refuses what is written, and a sample that is late is no harm.
        """
        try:
            take(self._scripts, self._keys)
            self._is_told = False
        except Away as error:
            if not self._is_told:
                log.warning("%s", in_words(error, "the history"))
            self._is_told = True
