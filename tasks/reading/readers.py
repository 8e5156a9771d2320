"""The two ways to page through a stream of messages: by oneself, and as one of a consumer group."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import redis.asyncio

Entry = tuple[bytes, dict[bytes, bytes]]

_PAGE: Final = 1000

_LEFT_IDLE_MS: Final = 30 * 24 * 3600 * 1000
"""Idle for so long, an entry may be taken over by any consumer at once."""

_LEFT_LOOK_S: Final = 10.0
"""How often at most a consumer goes through what it leaves to others: it is given that again each time."""


class Reader(Protocol):
    """Pages of the stream, oldest entry first."""

    stream: str

    async def open(self) -> None:
        """Ask Redis for what will be asked from then on."""

    async def read(self, block_ms: int | None) -> list[Entry]:
        """The next page; an empty one where nothing came within so long, at once for None."""

    async def handled(self, entry_id: bytes) -> None:
        """Never give this entry again."""

    async def left(self, entry_id: bytes) -> None:
        """Go on behind this entry, and leave it to whoever understands it."""

    async def offer(self) -> None:
        """Let others have what was left so far. Before each pause: later it may be in another's hands."""

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

    async def left(self, entry_id: bytes) -> None:
        self._after = entry_id

    async def offer(self) -> None:
        pass  # others read the stream for themselves

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
        self._own_after: bytes | None = b"0"
        self._unacknowledged: list[bytes] = []
        self._left: list[Any] = []  # of entry ids; redis-py wants a list of a wider type
        self._leaves = False

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
            await self.offer()
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

    async def left(self, entry_id: bytes) -> None:
        self._leaves = True
        self._left.append(entry_id)

    def interrupted(self) -> None:
        """What Redis gave us in a reply that was lost is pending under our name."""
        self._own_after = b"0"

    def is_stale(self) -> bool:
        """Whether the rest of the page has waited so long that another consumer may soon have it."""
        stale = time.monotonic() - self._read_at > self._claim_idle_ms / 2000
        if stale:
            self._own_after = b"0"
        return stale

    async def _acknowledge(self) -> None:
        if self._unacknowledged:
            await self._client.xack(self.stream, self._group, *self._unacknowledged)
            self._unacknowledged.clear()

    async def offer(self) -> None:
        from redis.exceptions import ResponseError

        left, self._left = self._left, []
        if not left:
            return
        with suppress(ResponseError):  # without the right to, others get it all the same, only later
            await self._client.xclaim(
                self.stream, self._group, self._consumer, 0, left, idle=_LEFT_IDLE_MS, justid=True
            )

    async def _own(self) -> list[Entry]:
        # From one page to the next: what is left to others stays among one's own.
        page = await self._read(self._own_after, None) if self._own_after is not None else []
        self._own_after = page[-1][0] if page else None
        return page

    async def _taken_over(self) -> list[Entry]:
        if time.monotonic() < self._next_claim:
            return []
        self._cursor, page, *_ = await self._client.xautoclaim(
            self.stream, self._group, self._consumer, self._claim_idle_ms, self._cursor, count=self._prefetch
        )
        if self._cursor == b"0-0":
            pause_s = max(self._claim_idle_ms / 2000, _LEFT_LOOK_S if self._leaves else 0.0)
            self._next_claim = time.monotonic() + pause_s
        return list(page)

    async def _read(self, after: str | bytes, block_ms: int | None) -> list[Entry]:
        streams: Any = {self.stream: after}
        return _entries_of(
            await self._client.xreadgroup(
                self._group, self._consumer, streams, count=self._prefetch, block=block_ms
            )
        )


def _entries_of(reply: Any) -> list[Entry]:
    """The entries in the reply about our one stream."""
    return list(reply[0][1]) if reply else []
