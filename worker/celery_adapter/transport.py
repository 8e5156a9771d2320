"""A kombu transport over the message queue: what Celery's worker sees of the queue.

Celery's own Redis transport pops a message and records it in two steps, restores on every lost
connection, reads malformed messages into a crash, and knows a dead worker only by a timeout. This one
leaves all of that to `MessageQueue`. Only what a consumer needs is here; producers use the ordinary one.
"""

from __future__ import annotations

import logging
import random
import time
from queue import Empty
from typing import Any

import redis
from kombu.transport import base, virtual

from worker.bootstrap import runtime
from worker.domain.message import Message
from worker.local import prefork
from worker.store.redis_wait import Away, Refused, StoreClosed, in_words

log = logging.getLogger(__name__)

GUARD_LOOK_S = 0.1
REMIND_EVERY_S = 30.0
"""How often a worker says again that it can take nothing."""


class QoS(virtual.QoS):
    """Acknowledgements by way of the message queue; nothing is restored by this process on its own."""

    # kombu would put back what is not acknowledged while attempts are out yet; `Runtime.close` does it after.
    restore_at_shutdown = False

    def ack(self, delivery_tag: str) -> None:
        runtime().queue.acknowledge(delivery_tag)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if requeue:
            runtime().queue.give_back(delivery_tag)
        else:
            runtime().queue.quarantine(delivery_tag, "Celery refused it")
        # Not kombu's own `reject`: it would put the message back by way of the channel, a second time.
        super().ack(delivery_tag)


class CheckedMessage(virtual.Message):
    """A message with its arguments as they were checked; see `worker.celery_adapter.strategy`."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        super().__init__(payload, channel=channel, **kwargs)
        self.arguments = payload["arguments"]


class Channel(virtual.Channel):
    """The queue, for one consumer."""

    QoS = QoS
    Message = CheckedMessage
    do_restore = False
    supports_fanout = False

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        raise NotImplementedError("this transport only consumes: enqueue through tasks.celery_app()")

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        raise Empty

    def _purge(self, queue: str) -> int:
        raise NotImplementedError("this transport only consumes")

    def _size(self, queue: str) -> int:
        return 0


class Transport(virtual.Transport):
    """Deliver what the queue holds, as much as there is room for, while flow control is open."""

    Channel = Channel
    driver_type = "aigc"  # mingle and gossip know that they cannot work over it
    driver_name = "aigc"
    implements = base.Transport.implements.extend(
        asynchronous=False, exchange_type=frozenset(["direct", "topic", "fanout"]), heartbeats=False
    )
    connection_errors: Any = (*virtual.Transport.connection_errors, redis.ConnectionError, redis.TimeoutError)
    channel_errors: Any = (*virtual.Transport.channel_errors, redis.ResponseError)

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        this = runtime()
        self._queue, self._loop = this.queue, this.loop
        self._flow_control, self._guard = this.flow_control, this.guard
        self._outage, self._stopping = this.outage, this.stopping
        self._away_since: float | None = None
        self._said_at = 0.0

    def driver_version(self) -> str:
        return str(redis.__version__)

    def verify_connection(self, connection: Any) -> bool:
        return True

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        """Deliver messages, or raise TimeoutError when there were none for that long.

        A Redis that is away is waited for here: Celery's consumer need not restart for it.
        """
        self._queue.looked_at()
        if self._stopping.is_set():
            raise TimeoutError  # Celery calls once more as it stops: what is taken now would be given back
        # Celery finds out that it is to stop only between two calls.
        timeout = 1.0 if timeout is None else min(timeout, 1.0)
        try:
            messages = self._next(timeout)
            if messages is not None:
                self._note_back()
        except StoreClosed:
            messages = []
        except Away as error:
            self._note_away(error)
            time.sleep(random.uniform(0.1, 0.5))
            messages = []
        if not messages:
            raise TimeoutError
        self._deliver_all(messages)

    def _deliver_all(self, messages: list[Message]) -> None:
        """To the loop what it can do by itself; to Celery what callbacks hang on, and all that a pool of
        processes is to do."""
        linked = messages if prefork.children_process() else [each for each in messages if not each.plain]
        if len(linked) < len(messages):
            self._loop.accept([each for each in messages if each.plain] if linked else messages)
        # Celery knows of one queue, whichever list a message came from. As it stops it may know of none: what
        # was taken is given back then as the worker leaves.
        for queue in list(self._callbacks)[:1]:
            for message in linked:
                self._deliver(message.for_kombu(queue), queue)

    def _next(self, timeout: float) -> list[Message] | None:
        """What there is to deliver; None where Redis was not asked."""
        if not self._flow_control.wait_open(timeout):
            return None
        if not self._guard.allows_taking():
            self._queue.show_up()
            time.sleep(min(timeout, GUARD_LOOK_S))
            return None
        room_made = self._flow_control.room_made
        room_made.clear()  # before the look: room that is made after it must wake this thread
        room = self._room()
        if room <= 0:
            room_made.wait(timeout)
            return None
        messages = self._queue.take(room)
        if not messages:
            self._queue.wait(timeout)
            # Flow control may have closed meanwhile.
            messages = self._queue.take(room) if self._flow_control.wait_open(0.001) else []
        return messages

    def _room(self) -> int:
        """How many messages to take now: with about as many jobs as Celery's prefetch allows messages."""
        channels = [channel for channel in self.channels if channel._consumers]
        # Without one it is 0, and 0 is no room here; to kombu a prefetch count of 0 would be no bound.
        prefetch = min((channel.qos.prefetch_count for channel in channels), default=0)
        return self._queue.room(prefetch, self._flow_control.room(self._queue.jobs_in_hand()))

    def _note_away(self, error: Exception) -> None:
        words, now = in_words(error, "taking messages"), time.monotonic()
        self._guard.taking_fails(words)
        if not isinstance(error, Refused):
            self._outage.failed("taking messages", words)
        if self._away_since is None or now - self._said_at >= REMIND_EVERY_S:
            self._said_at = now
            log.warning("%s", words)
        self._away_since = self._away_since or now

    def _note_back(self) -> None:
        if self._away_since is not None:
            self._guard.taking_fails("")
            self._outage.answered("taking messages")
            log.info("Redis answers again after %.1f s", time.monotonic() - self._away_since)
            self._away_since = None
