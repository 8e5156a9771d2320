"""Where messages come from: the channel, for who is there, and the stream, for who comes later."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic

from ..clients import SOCKET_TIMEOUT_S, reported
from ..exceptions import BrokerUnavailable
from ..message_json import NewerMessage
from .feed import Feed, M
from .patience import Patience
from .readers import Entry, Reader

if TYPE_CHECKING:
    import redis.asyncio
    from redis.asyncio.client import PubSub
    from redis.exceptions import RedisError

_LONGEST_WAIT_S: Final = 1.0
_TOLD_MOST: Final = 20


class Published(Generic[M]):
    """The messages that are published in a channel while this is open."""

    def __init__(self, feed: Feed[M], client: redis.asyncio.Redis, channel: str, patience: Patience) -> None:
        self._client, self._channel, self._patience = client, channel, patience
        self._subscription = client.pubsub()
        self._parser = Parser(feed, channel)

    async def open(self) -> None:
        with reported():
            await self._subscription.subscribe(self._channel)
            if await self._subscription.get_message(timeout=SOCKET_TIMEOUT_S) is None:
                raise BrokerUnavailable("Redis did not confirm the subscription")
        self._patience.renew()

    async def messages(self) -> AsyncGenerator[M, None]:
        from redis.exceptions import RedisError

        while (wait_s := self._patience.left(_LONGEST_WAIT_S)) and not self._patience.stopped():
            try:
                told = await self._subscription.get_message(timeout=wait_s)
            except RedisError as error:
                await self._subscribe_again_after(error)
                await self._patience.wait_out(error, self._channel)
                continue
            self._patience.answered()
            if told is not None and told["type"] == "message":
                self._patience.renew()
                message = self._parser.read(told["data"], "a message")
                if message is not None and not isinstance(message, NewerMessage):
                    yield message
                    self._patience.renew()

    async def _subscribe_again_after(self, error: RedisError) -> None:
        # redis-py subscribes once for each connection. When one is lost it makes the next before it raises,
        # and who publishes counts on that one; when Redis refuses, it may have been the subscription.
        from redis.exceptions import ConnectionError, TimeoutError

        connection = self._subscription.connection
        if connection is not None and type(error) not in (ConnectionError, TimeoutError):
            await connection.disconnect(True)  # without waiting for the other side

    async def close(self) -> None:
        await _close(self._subscription, self._client)


class Stored(Generic[M]):
    """The messages that a reader finds in the stream."""

    def __init__(
        self,
        feed: Feed[M],
        client: redis.asyncio.Redis,
        reader: Reader,
        block_ms: int,
        patience: Patience,
    ) -> None:
        self._client, self._reader, self._field = client, reader, feed.field.encode()
        self._block_s, self._patience = block_ms / 1000, patience
        self._parser = Parser(feed, reader.stream)

    async def open(self) -> None:
        with reported(self._reader.stream):
            await self._reader.open()
        self._patience.renew()

    async def messages(self) -> AsyncGenerator[M, None]:
        from redis.exceptions import RedisError

        reader, patience = self._reader, self._patience
        while not patience.stopped():
            wait_ms = round(patience.left(self._block_s) * 1000)
            page: list[Entry] | None = None
            try:
                page = await reader.read(wait_ms or None)
                patience.answered()
                for entry_id, fields in page:
                    if reader.is_stale():
                        break
                    # An entry that was deleted meanwhile has no fields left.
                    found = self._read(entry_id, fields) if fields else None
                    if isinstance(found, NewerMessage):
                        await reader.left(entry_id)
                        continue
                    if found is not None:
                        await reader.offer()
                        yield found
                    patience.renew()
                    await reader.handled(entry_id)
            except RedisError as error:
                reader.interrupted()
                await patience.wait_out(error, reader.stream)
            if page == [] and not wait_ms:
                return

    def _read(self, entry_id: bytes, fields: dict[bytes, bytes]) -> M | NewerMessage | None:
        return self._parser.read(fields.get(self._field), f"entry {entry_id.decode()}")

    async def close(self) -> None:
        await _close(self._client)


class Parser(Generic[M]):
    """Reads what stands under a feed's name, and says what is none."""

    def __init__(self, feed: Feed[M], name: str) -> None:
        self._feed, self._name = feed, name
        self._told: set[str] = set()

    def read(self, text: bytes | None, what: str) -> M | NewerMessage | None:
        """The message; None for what is none; the error for one that only a later version understands."""
        feed = self._feed
        try:
            return feed.parse(text or b"")
        except NewerMessage as error:
            self._tell_once(str(error), what)
            return error
        except ValueError as error:
            feed.log.warning("%s among the %s was passed over: %s", what, feed.noun, error)
            return None

    def _tell_once(self, why: str, what: str) -> None:
        if why not in self._told and len(self._told) < _TOLD_MOST:
            self._told.add(why)
            self._feed.log.error(
                "%s in %s is %s: upgrade this consumer. It is left for one that understands it, as are others"
                " like it, which are not mentioned again",
                *(what, self._name, why),
            )


async def _close(*clients: redis.asyncio.Redis | PubSub) -> None:
    if sys.is_finalizing():
        return  # a generator that a program left open; nothing can be imported any more
    from redis.exceptions import RedisError

    for client in clients:
        with suppress(RedisError, OSError):
            await client.aclose()
