"""Writes down of which workflows this process has attempted jobs, for whoever misspells one."""

from __future__ import annotations

from typing import Final

from worker.maintenance.scheduler import Duty
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.workflows import SeenWorkflows

RECORD_EVERY_S: Final = 3.0


class WorkflowRecorder:
    """One call to Redis for each workflow that is new to this process, and none otherwise."""

    def __init__(self, scripts: Scripts, keys: KeyNames, seen: SeenWorkflows) -> None:
        self._scripts = scripts
        self._keys = keys
        self._seen = seen
        self.duties = (Duty(self.record, RECORD_EVERY_S),)

    def record(self) -> None:
        """Write down those that are new."""
        self._seen.record(self._scripts.client, self._keys)
