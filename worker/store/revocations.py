"""Hears Celery's `revoke`, and cancels what it names.

Celery broadcasts it to the workers that are there, over a channel of Redis. Ours have no remote control; they
listen for this one command. What is said while a worker is away is not heard, as everywhere in Celery: who
must be sure calls `tasks.cancel`.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, Final

from tasks.cancellation import cancel_in
from worker.domain.revocation import channel_of, revoked_ids
from worker.store.redis_wait import Away, Refused

log = logging.getLogger(__name__)

POLLED_EVERY_S: Final = 0.5
MESSAGES_A_TURN: Final = 100


class Revocations:
    """A subscription of one process, made when it is first polled and again when it was lost. For one thread.

    Args:
        client: a client of the queue's Redis.
    """

    def __init__(self, client: Any, queue: str) -> None:
        self._client = client
        self._queue = queue
        self._channel = channel_of(client.connection_pool.connection_kwargs.get("db") or 0)
        self._pubsub: Any = None
        self._refused = False

    def poll(self) -> bool:
        """Cancel what was revoked since the last call, without waiting; True where there may be more.

        Raises:
            redis.RedisError: Redis is away. What was said meanwhile is not heard.
        """
        if self._refused:
            return False
        try:
            return self._poll()
        except Away as error:
            self.close()
            if isinstance(error, Refused):
                self._note_refusal(error)
                return False
            raise

    def close(self) -> None:
        """End the subscription."""
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(*Away):
                pubsub.close()

    def _poll(self) -> bool:
        if self._pubsub is None:
            self._pubsub = self._client.pubsub()
            self._pubsub.subscribe(self._channel)
        for _ in range(MESSAGES_A_TURN):
            message = self._pubsub.get_message(timeout=0)
            if message is None:
                return False
            if message["type"] == "message":
                self._cancel(revoked_ids(message["data"]))
        return True

    def _cancel(self, ids: list[str]) -> None:
        for job_id in ids:
            try:
                done = cancel_in(self._client, self._queue, job_id)
            except Refused as error:
                log.warning("job %s was revoked, but Redis refuses to cancel it: %s", job_id, error)
            else:
                log.info("job %s was revoked%s", job_id, "" if done else ", too late: it is sent or ended")

    def _note_refusal(self, error: Exception) -> None:
        # Nothing that a worker needs: it goes on without, until it is started again.
        self._refused = True
        log.warning("revoke is not heard, tasks.cancel works: Redis refuses to listen (%s)", error)
