"""Where results come from: the channel, for those who are there, and the stream, for those who come later."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..clients import SOCKET_TIMEOUT_S, reported
from ..contract import RESULT_FIELD
from ..exceptions import BrokerUnavailable
from ..result import NewerResult, Result
from .patience import Patience, log
from .readers import Entry, Reader

if TYPE_CHECKING:
    import redis.asyncio
    from redis.asyncio.client import PubSub
    from redis.exceptions import RedisError

_LONGEST_WAIT_S: Final = 1.0
_TOLD_MOST: Final = 20
_FIELD: Final = RESULT_FIELD.encode()


class Published:
    """The results that are published in a channel while this is open."""

    def __init__(self, client: redis.asyncio.Redis, channel: str, patience: Patience) -> None:
        self._client, self._channel, self._patience = client, channel, patience
        self._subscription = client.pubsub()
        self._results = ReadResults(channel)

    async def open(self) -> None:
        with reported():
            await self._subscription.subscribe(self._channel)
            if await self._subscription.get_message(timeout=SOCKET_TIMEOUT_S) is None:
                raise BrokerUnavailable("Redis did not confirm the subscription")
        self._patience.renew()

    async def results(self) -> AsyncGenerator[Result, None]:
        from redis.exceptions import RedisError

        while (wait_s := self._patience.left(_LONGEST_WAIT_S)) and not self._patience.stopped():
            try:
                message = await self._subscription.get_message(timeout=wait_s)
            except RedisError as error:
                await self._subscribe_again_after(error)
                await self._patience.wait_out(error, self._channel)
                continue
            if message is not None and message["type"] == "message":
                self._patience.renew()
                if isinstance(result := self._results.read(message["data"], "a message"), Result):
                    yield result
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


class Stored:
    """The results that a reader finds in the stream."""

    def __init__(
        self, client: redis.asyncio.Redis, reader: Reader, block_ms: int, patience: Patience
    ) -> None:
        self._client, self._reader = client, reader
        self._block_s, self._patience = block_ms / 1000, patience
        self._results = ReadResults(reader.stream)

    async def open(self) -> None:
        with reported(self._reader.stream):
            await self._reader.open()
        self._patience.renew()

    async def results(self) -> AsyncGenerator[Result, None]:
        from redis.exceptions import RedisError

        reader, patience = self._reader, self._patience
        while not patience.stopped():
            wait_ms = round(patience.left(self._block_s) * 1000)
            page: list[Entry] | None = None
            try:
                page = await reader.read(wait_ms or None)
                for entry_id, fields in page:
                    if reader.is_stale():
                        break
                    # An entry that was deleted meanwhile has no fields left.
                    found = self._results.read(fields.get(_FIELD), f"entry {entry_id!r}") if fields else None
                    if isinstance(found, NewerResult):
                        await reader.left(entry_id)
                        continue
                    if found:
                        await reader.offer()
                        yield found
                    patience.renew()
                    await reader.handled(entry_id)
            except RedisError as error:
                reader.interrupted()
                await patience.wait_out(error, reader.stream)
            if page == [] and not wait_ms:
                return

    async def close(self) -> None:
        await _close(self._client)


class ReadResults:
    """Reads what stands under the results' name, and says what is none."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: set[str] = set()

    def read(self, text: bytes | None, what: str) -> Result | NewerResult | None:
        """The result; None for what is none; the error for one that only a later version understands."""
        try:
            return Result.from_json(text or b"")
        except NewerResult as error:
            self._tell_once(str(error), what)
            return error
        except ValueError as error:
            log.warning("%s among the results was passed over: %s", what, error)
            return None

    def _tell_once(self, why: str, what: str) -> None:
        if why not in self._told and len(self._told) < _TOLD_MOST:
            self._told.add(why)
            log.error(
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
