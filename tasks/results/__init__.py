"""Read how jobs ended: live with `listen`, durably with `consume`, or the whole stream with `replay`.

All three begin by asking Redis for what they will go on asking, and raise BrokerUnavailable in Redis's own
words where that fails. From then on they wait, and log a warning each time, while Redis is away or refuses
for now: in restarts and failovers, when it is full, loading, busy with a script, unable to write its file,
short of replicas, or when rights were taken away. They end with BrokerUnavailable for what waiting cannot
mend, such as a key of another type under the results' name. `alisten` and `aconsume` are the same for
asyncio.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from tasks import broker
from tasks.contract import RESULT_FIELD
from tasks.result import Result
from tasks.results.readers import Entry, GroupReader, Reader, StreamReader

if TYPE_CHECKING:
    import redis
    from redis.client import PubSub

log = logging.getLogger(__name__)

Results = Generator[Result, None, None]

_BACKOFF_CAP_S: Final = 5.0


def listen(
    redis_url: str | None = None,
    *,
    idle_timeout_s: float | None = None,
    stop: threading.Event | None = None,
) -> Results:
    """Results as they are published from now on; what is published while Redis is away is missed.

    Subscribed once this returns. Ends after `idle_timeout_s` seconds without a result, or within a
    second once `stop` is set.
    """
    client = _client(redis_url, broker.SOCKET_TIMEOUT_S)
    subscription: PubSub = client.pubsub()  # type: ignore[no-untyped-call]
    with broker.reported():
        subscription.subscribe(broker.place().results)
        if subscription.get_message(timeout=broker.SOCKET_TIMEOUT_S) is None:
            raise broker.BrokerUnavailable("Redis did not confirm the subscription")
    return _published(client, subscription, _Patience(idle_timeout_s, stop))


def consume(
    group: str,
    consumer: str | None = None,
    *,
    redis_url: str | None = None,
    start: str = "0",
    block_ms: int = 1000,
    claim_idle_ms: int = 60_000,
    idle_timeout_s: float | None = None,
    stop: threading.Event | None = None,
) -> Results:
    """Each result for one consumer of the group, and again where that one failed to handle it.

    A result counts as handled when the loop asks for the next one. What a consumer leaves unhandled
    for `claim_idle_ms` another one gets, so handling one result must not take longer than that.

    Args:
        consumer: unique in the group at any time; random if not given. One that comes back under its
            name gets what it left unhandled at once.
        start: where a new group starts: "0" with the oldest result kept, "$" with the next one.
        block_ms: how long one wait for news lasts; above 0.
        idle_timeout_s: end after so long without a result; 0 ends when there is no more.
        stop: once set, the iterator ends within one wait.
    """
    name = consumer or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    client = _client(redis_url, block_ms / 1000 + broker.SOCKET_TIMEOUT_S)
    reader = GroupReader(client, broker.place().results, group, name, claim_idle_ms)
    with broker.reported(broker.place().results):
        reader.create_group(start)
    return _entries(reader, block_ms, _Patience(idle_timeout_s, stop))


def replay(
    start: str = "0",
    *,
    redis_url: str | None = None,
    follow: bool = False,
    block_ms: int = 1000,
    idle_timeout_s: float | None = None,
    stop: threading.Event | None = None,
) -> Results:
    """What the stream holds after its entry `start`, oldest first; with `follow` then what comes.

    Acknowledges nothing. Without `follow` it ends with the newest result.
    """
    client = _client(redis_url, block_ms / 1000 + broker.SOCKET_TIMEOUT_S)
    reader = StreamReader(client, broker.place().results, start)
    with broker.reported(broker.place().results):
        reader.read(None, most=1)
    return _entries(reader, block_ms, _Patience(idle_timeout_s if follow else 0, stop))


def alisten(redis_url: str | None = None, *, idle_timeout_s: float | None = None) -> AsyncIterator[Result]:
    """`listen` for asyncio; subscribed when the loop first waits for a result."""
    return _in_thread(lambda stop: listen(redis_url, idle_timeout_s=idle_timeout_s, stop=stop))


def aconsume(group: str, consumer: str | None = None, **options: Any) -> AsyncIterator[Result]:
    """`consume` for asyncio, with its options."""
    return _in_thread(lambda stop: consume(group, consumer, stop=stop, **options))


def _published(client: redis.Redis, subscription: PubSub, patience: _Patience) -> Results:
    # The client is held because it closes the subscription's connection when it is collected.
    with closing(client), closing(subscription):
        while (wait_s := patience.left(1.0)) and not patience.stop.is_set():
            message = None
            with patience.waits_for_redis(lambda: _subscribe_anew(subscription)):
                message = subscription.get_message(timeout=wait_s)
            if message is not None and message["type"] == "message":
                patience.renew()
                if result := _result(message["data"], "a message"):
                    yield result
                    patience.renew()


def _subscribe_anew(subscription: PubSub) -> None:
    """A client subscribes once for each connection, and what was refused may have been that."""
    if subscription.connection is not None:
        subscription.connection.disconnect()


def _entries(reader: Reader, block_ms: int, patience: _Patience) -> Results:
    with closing(reader.client):
        while not patience.stop.is_set():
            wait_ms = round(patience.left(block_ms / 1000) * 1000)
            page: list[Entry] | None = None
            with patience.waits_for_redis(reader.interrupted):
                page = reader.read(wait_ms or None)
                for entry_id, fields in page:
                    if reader.is_stale():
                        break
                    # An entry that was deleted meanwhile has no fields left.
                    if fields and (
                        result := _result(fields.get(RESULT_FIELD.encode()), f"entry {entry_id!r}")
                    ):
                        yield result
                    patience.renew()
                    reader.handled(entry_id)
            if page == [] and not wait_ms:
                return


def _result(text: bytes | None, what: str) -> Result | None:
    try:
        return Result.from_json(text or b"")
    except ValueError as error:
        log.warning("%s among the results was passed over: %s", what, error)
        return None


class _Patience:
    """How long there has been no result, and no Redis."""

    def __init__(self, idle_timeout_s: float | None, stop: threading.Event | None) -> None:
        self._idle_timeout_s = idle_timeout_s
        self.stop = stop or threading.Event()
        self.renew()

    def renew(self) -> None:
        """There was a result."""
        self._since, self._failures = time.monotonic(), 0

    def left(self, most: float) -> float:
        """Seconds to wait for the next result, at most so many; 0 where it must be there now."""
        if self._idle_timeout_s is None:
            return most
        return min(most, max(0.0, self._since + self._idle_timeout_s - time.monotonic()))

    @contextmanager
    def waits_for_redis(self, interrupted: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Where Redis is away inside, say so by `interrupted` and wait a while, instead of raising."""
        from redis.exceptions import RedisError

        try:
            yield
        except RedisError as error:
            if not broker.is_away(error):
                with broker.reported(broker.place().results):
                    raise
            interrupted()
            self._back_off(error)

    def _back_off(self, error: Exception) -> None:
        """Redis is away: wait, longer each time."""
        said = getattr(error, "status_code", None)
        log.warning("waiting for Redis: %s", f"{said}: {error}" if said else error)
        self._failures += 1
        self.stop.wait(random.uniform(0.5, 1.0) * min(_BACKOFF_CAP_S, 0.1 * 2 ** min(self._failures, 10)))


async def _in_thread(start: Callable[[threading.Event], Results]) -> AsyncIterator[Result]:
    stop = threading.Event()
    results = await asyncio.to_thread(start, stop)
    step: asyncio.Future[Result | None] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, results, None))
            result = await asyncio.shield(step)
            if result is None:
                return
            yield result
    finally:
        stop.set()
        if step is not None:
            await asyncio.wait([step])  # a generator cannot be closed while its thread is in it
        await asyncio.to_thread(results.close)


def _client(redis_url: str | None, socket_timeout_s: float) -> redis.Redis:
    if redis_url is not None:
        broker.check_redis_url(redis_url, "redis_url")
    # No `promptly`: a read sent again after a lost reply would pass over what that reply held.
    return broker.new_client(redis_url or broker.place().redis_url, socket_timeout_s=socket_timeout_s)
