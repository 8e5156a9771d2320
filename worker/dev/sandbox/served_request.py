"""One HTTP request that is served over ASGI, with the rude endings that ASGI itself has no words for."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

from starlette.types import Receive, Scope, Send

JSON: bytes = b"application/json;charset=UTF-8"
HTML: bytes = b"text/html;charset=UTF-8"
XML: bytes = b"application/xml"

_LINGER_ZERO = struct.pack("ii", 1, 0)


class Connections(dict[tuple[str, int], asyncio.Transport]):
    """Open connections by the peer's address, which is what ASGI calls ``scope["client"]``."""

    def abort_all(self) -> None:
        """Cut every connection, whatever it is doing."""
        for transport in list(self.values()):
            transport.abort()


class ServedRequest:
    """A request being answered: read it, answer it, or leave it in a way a network would."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, connections: Connections) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.media_type = JSON
        """Of an answer about which nothing else is said."""
        self._client = scope.get("client")
        self._receive = receive
        self._send = send
        self._connections = connections

    async def read(self, limit: int) -> bytes | None:
        """The whole body, or None when it is longer than ``limit`` bytes or the client left."""
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > limit:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    async def answer(
        self, status: int, body: bytes, media_type: bytes = b"", *extra: tuple[bytes, bytes]
    ) -> None:
        """A complete, ordinary response."""
        await self._start(status, len(body), media_type or self.media_type, extra)
        await self._send({"type": "http.response.body", "body": body})

    async def stream(self, length: int, parts: AsyncIterator[bytes]) -> None:
        """A 200 with a body that comes in parts, ``length`` bytes in all."""
        await self._start(200, length, self.media_type)
        async for part in parts:
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
        await self._send({"type": "http.response.body"})

    async def break_off(self, status: int, length: int, body: bytes) -> None:
        """A response that is announced as ``length`` bytes, and ends with the connection before that."""
        await self._start(status, length, self.media_type)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        await self.drop(reset=False)

    async def _start(
        self, status: int, length: int, media_type: bytes, extra: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        headers = [(b"content-type", media_type), (b"content-length", b"%d" % length), *extra]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def left(self, seconds: float) -> bool:
        """Wait; True as soon as the client has left, False when it is still there at the end."""
        try:
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True

    async def drop(self, *, reset: bool) -> None:
        """End the connection without an answer: with a TCP reset, or with an ordinary close.

        Raises:
            RuntimeError: the server that runs the app does not fill ``connections``.
        """
        transport = self._connections.get(self._client) if self._client else None
        if transport is None:
            if await self.left(seconds=0):
                return
            raise RuntimeError(
                "this fault needs worker.dev.sandbox.serve: another server hides its connections"
            )
        if reset:
            # A reset is what close() sends when the socket lingers for 0 s.
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            transport.abort()
        else:
            transport.close()
        # The server answers 500 for an app that returns without a response, unless the client is gone.
        await self.left(seconds=10)
