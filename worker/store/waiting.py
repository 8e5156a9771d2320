"""The waiting set: jobs whose next attempt is due later. They hold no thread and no worker's memory."""

from __future__ import annotations

from worker.store.keys import Keys
from worker.store.scripts import Scripts

MOVE_MOST = 200
"""Jobs moved by one script: about a millisecond of Redis's time."""


class Waiting:
    """The waiting set of one queue."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys

    def move_due(self) -> int:
        """Put jobs that are due to the front of their lists, `MOVE_MOST` at most; returns how many.

        Raises:
            redis.RedisError: Redis is away.
        """
        keys = self._keys
        return int(self._scripts.run("move", [keys.waiting, keys.waiting_messages, *keys.lists], [MOVE_MOST]))

    def count(self) -> int:
        """Jobs that wait."""
        return int(self._scripts.client.zcard(self._keys.waiting))
