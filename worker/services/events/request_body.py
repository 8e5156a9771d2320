"""A request's body, read within bounds: of one request in bytes and time, of all together in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from starlette.types import Receive, Scope

from tasks.exceptions import AigcError
from worker.services.asgi import BODY_WITHIN_S
from worker.services.events.values import Refusal

BODY_MOST: Final = 1_000_000
TOGETHER_MOST: Final = 64 * BODY_MOST
_DISCARD_MOST: Final = 16 * BODY_MOST
_DISCARD_WITHIN_S: Final = 2.0


class Gone(AigcError):
    """The client has gone: nobody waits for an answer."""


class Bodies:
    """Reads bodies, and knows how many bytes of them are in memory."""

    def __init__(self) -> None:
        self._held = 0

    @asynccontextmanager
    async def read(self, scope: Scope, receive: Receive) -> AsyncIterator[bytes | Refusal]:
        """The body, for as long as the block runs; or why there is none.

        Raises:
            Gone: the client closed the connection.
        """
        chunks: list[bytes] = []
        try:
            yield await self._read(scope, receive, chunks)
        finally:
            self._held -= sum(map(len, chunks))

    async def _read(self, scope: Scope, receive: Receive, chunks: list[bytes]) -> bytes | Refusal:
        if _length(scope["headers"]) > BODY_MOST:
            return await _too_large(scope, receive)
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                return await self._collect(scope, receive, chunks)
        except TimeoutError:
            return Refusal(408, f"the body did not come within {BODY_WITHIN_S:.0f} s")

    async def _collect(self, scope: Scope, receive: Receive, chunks: list[bytes]) -> bytes | Refusal:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunk, more = message.get("body", b""), message.get("more_body", False)
            chunks.append(chunk)
            size += len(chunk)
            self._held += len(chunk)
            if size > BODY_MOST:
                return await _too_large(scope, receive) if more else Refusal(413, _TOO_LARGE)
            if self._held > TOGETHER_MOST:
                return Refusal(503, "there is too much in work")
        return b"".join(chunks)


_TOO_LARGE: Final = f"a body must be at most {BODY_MOST:,} bytes"


async def _too_large(scope: Scope, receive: Receive) -> Refusal:
    """Read on for a while and keep nothing: a client that still sends would not see the answer."""
    if (b"expect", b"100-continue") in scope["headers"]:
        return Refusal(413, _TOO_LARGE)  # it waits for a word before it sends anything
    left = _DISCARD_MOST
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_WITHIN_S):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    break
                left -= len(message.get("body", b""))
    return Refusal(413, _TOO_LARGE)


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """What the request says; whatever that is, what comes is counted."""
    given = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(given) if given.isdigit() and len(given) < 20 else 0
