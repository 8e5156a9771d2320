"""The two ways to page through the stream of results: by oneself, and as one of a consumer group."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import redis.asyncio

Entry = tuple[bytes, dict[bytes, bytes]]

_PAGE: Final = 1000


class Reader(Protocol):
    """Pages of the stream, oldest entry first."""

    stream: str

    async def open(self) -> None:
        """Ask Redis for what will be asked from then on."""

    async def read(self, block_ms: int | None) -> list[Entry]:
        """The next page; an empty one where nothing came within so long, at once for None."""

    async def handled(self, entry_id: bytes) -> None:
        """Never give this entry again."""

    def interrupted(self) -> None:
        """The connection was lost, maybe with a page on it."""

    def is_stale(self) -> bool:
        """Whether the rest of the last page must be read again before it is used."""


class StreamReader:
    """Reads the stream from an entry on."""

    def __init__(self, client: redis.asyncio.Redis, stream: str, after: str) -> None:
        self._client = client
        self.stream = stream
        self._after: str | bytes = after

    async def open(self) -> None:
        await self.read(None, most=1)

    async def read(self, block_ms: int | None, most: int = _PAGE) -> list[Entry]:
        return _entries_of(await self._client.xread({self.stream: self._after}, count=most, block=block_ms))

    async def handled(self, entry_id: bytes) -> None:
        self._after = entry_id

    def interrupted(self) -> None:
        pass

    def is_stale(self) -> bool:
        return False


class GroupReader:
    """Reads as one consumer of a group.

    Args:
        prefetch: entries in a page. All of it waits, pending under the consumer's name, until its last entry
            is handled: no other consumer gets any of it meanwhile.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        stream: str,
        group: str,
        consumer: str,
        start: str,
        claim_idle_ms: int,
        prefetch: int,
    ) -> None:
        if not isinstance(prefetch, int) or prefetch < 1:
            raise ValueError(f"prefetch must be an integer of at least 1, got {prefetch!r}")
        self._client = client
        self.stream, self._group, self._consumer = stream, group, consumer
        self._start, self._claim_idle_ms, self._prefetch = start, claim_idle_ms, prefetch
        self._cursor, self._next_claim = b"0-0", 0.0
        self._read_at = 0.0
        self._own_first = True
        self._unacknowledged: list[bytes] = []

    async def open(self) -> None:
        await self._create_group(self._start)

    async def _create_group(self, start: str) -> None:
        from redis.exceptions import ResponseError

        try:
            await self._client.xgroup_create(self.stream, self._group, start, mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def read(self, block_ms: int | None) -> list[Entry]:
        from redis.exceptions import ResponseError

        try:
            await self._acknowledge()
            page = await self._own() or await self._taken_over() or await self._read(">", block_ms)
        except ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self._create_group("0")  # the stream was deleted; what came since is ours to read
            page = []
        self._read_at = time.monotonic()
        return page

    async def handled(self, entry_id: bytes) -> None:
        self._unacknowledged.append(entry_id)
        await self._acknowledge()

    def interrupted(self) -> None:
        """What Redis gave us in a reply that was lost is pending under our name."""
        self._own_first = True

    def is_stale(self) -> bool:
        """Whether the rest of the page has waited so long that another consumer may soon have it."""
        stale = time.monotonic() - self._read_at > self._claim_idle_ms / 2000
        self._own_first |= stale
        return stale

    async def _acknowledge(self) -> None:
        if self._unacknowledged:
            await self._client.xack(self.stream, self._group, *self._unacknowledged)
            self._unacknowledged.clear()

    async def _own(self) -> list[Entry]:
        page = await self._read("0", None) if self._own_first else []
        self._own_first = bool(page)
        return page

    async def _taken_over(self) -> list[Entry]:
        if time.monotonic() < self._next_claim:
            return []
        self._cursor, page, *_ = await self._client.xautoclaim(
            self.stream, self._group, self._consumer, self._claim_idle_ms, self._cursor, count=self._prefetch
        )
        if self._cursor == b"0-0":
            self._next_claim = time.monotonic() + self._claim_idle_ms / 2000
        return list(page)

    async def _read(self, after: str, block_ms: int | None) -> list[Entry]:
        streams: Any = {self.stream: after}
        return _entries_of(
            await self._client.xreadgroup(
                self._group, self._consumer, streams, count=self._prefetch, block=block_ms
            )
        )


def _entries_of(reply: Any) -> list[Entry]:
    """The entries in the reply about our one stream."""
    return list(reply[0][1]) if reply else []
