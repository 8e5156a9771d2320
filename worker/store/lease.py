"""A lease in Redis: of those that want it, one process has it."""

from __future__ import annotations

import time
from typing import Any, Final

from redis.exceptions import WatchError

from tasks.exceptions import AigcError
from worker.local import process_identity

LEASE_S: Final = 30.0
RENEW_EVERY_S: Final = 3.0


class LeaseLost(AigcError):
    """Another process has the lease, or may have it."""


class Lease:
    """For one thread. Its methods raise `redis.RedisError`; then it is not renewed, and runs out.

    Args:
        key: one for each lease.
        seconds: after which it runs out. Of a process that died on this machine another takes it at once.
    """

    def __init__(self, client: Any, key: str, seconds: float = LEASE_S) -> None:
        self._client = client
        self._key = key
        self._seconds = seconds
        self._until = 0.0
        self._renew_at = 0.0
        self.token = process_identity.mine() or f"//{time.time_ns()}"

    def left_s(self) -> float:
        """For how long it is ours for sure; 0 where it is not."""
        return max(0.0, self._until - time.monotonic())

    def keep(self) -> None:
        """Have it for longer, every few seconds. Call it often.

        Raises:
            LeaseLost: see there. It is raised as well where it ran out and is ours again: meanwhile another
                may have had it.
        """
        if time.monotonic() >= self._renew_at:
            has_run_out = not self.left_s()
            if not self.acquire() or has_run_out:
                raise LeaseLost

    def acquire(self) -> bool:
        """Have it, or have it for longer; False where another has it."""
        began = time.monotonic()
        with self._client.pipeline() as calls:
            calls.watch(self._key)
            holder = calls.get(self._key)
            if holder not in (None, self.token.encode()) and not process_identity.is_gone(holder.decode()):
                self._until = 0.0
                return False
            calls.multi()
            calls.set(self._key, self.token, px=round(1000 * self._seconds))
            try:
                calls.execute()
            except WatchError:
                self._until = 0.0
                return False
        self._until = began + self._seconds
        self._renew_at = began + RENEW_EVERY_S
        return True

    def release(self) -> None:
        """Let another have it at once."""
        self._until = 0.0
        with self._client.pipeline() as calls:
            calls.watch(self._key)
            if calls.get(self._key) == self.token.encode():
                calls.multi()
                calls.delete(self._key)
                try:
                    calls.execute()
                except WatchError:
                    return
