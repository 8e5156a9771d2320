"""Writes down the queue's totals once a minute, for plots over the last hour and day."""

from __future__ import annotations

from typing import Final

from worker.maintenance.scheduler import Duty
from worker.store.history import take
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts

LOOK_EVERY_S: Final = 20.0
"""Of each worker, whether some other has: so that there is no gap when one ends."""


class HistoryRecorder:
    """One script every `LOOK_EVERY_S`; what it costs more than that, one worker of all pays once a minute."""

    def __init__(self, scripts: Scripts, keys: KeyNames) -> None:
        self._scripts = scripts
        self._keys = keys
        self.duties = (Duty(self.record, LOOK_EVERY_S),)

    def record(self) -> None:
        """Add a sample, if one is due."""
        take(self._scripts, self._keys)
