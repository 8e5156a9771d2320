"""A TCP proxy that cuts connections: a request lost, a part of it lost, or only its answer."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Self

_LINGER_ZERO = struct.pack("ii", 1, 0)
_CHUNK = 65536


class LoopThread:
    """A server on a port of its own, in an event loop in a thread of its own; `serve` is its connections'.

    Attributes:
        target: the port that it stands before.
        port: its own.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.target = target
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        raise NotImplementedError

    def listen(self) -> None:
        """Take connections, again on the same port as before."""
        self._call(self._listen())

    def refuse(self) -> None:
        """Refuse new connections until `listen`."""
        if self._server:
            self._loop.call_soon_threadsafe(self._server.close)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """The server in a thread for as long as the block runs."""
        thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        thread.start()
        try:
            self.listen()
            yield self
        finally:
            self._call(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _call(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # by `_close`: asyncio would print it
            await self.serve(reader, writer)

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # what was closed is closed in the loop's next rounds


class Proxy(LoopThread):
    """Forwards to a port on loopback; ``share`` of what passes is where its connection ends.

    Attributes:
        share: from 0 to 1, of the pieces that are read from either side.
        stalled: nothing passes, and no connection ends, while this is true.
        cuts: connections cut so far.
    """

    def __init__(self, target: int, rng: Random) -> None:
        super().__init__(target)
        self.share = 0.0
        self.stalled = False
        self.cuts = 0
        self._rng = rng

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy both ways until one of them ends."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target, limit=_CHUNK)
        except OSError:
            reset(writer)
            return
        ways = [
            asyncio.ensure_future(self._pump(reader, far_writer)),
            asyncio.ensure_future(self._pump(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            reset(writer)
            reset(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy one direction until it ends or is cut: before a piece, within it, or just after."""
        try:
            while data := await reader.read(_CHUNK):
                while self.stalled:
                    await asyncio.sleep(0.05)
                cut = self._rng.random() < self.share
                if cut:
                    self.cuts += 1
                    data = data[: self._rng.choice([0, len(data) // 2, len(data)])]
                writer.write(data)
                await writer.drain()
                if cut:
                    # A reset discards what is under way: let it arrive, so that all three cases happen.
                    await asyncio.sleep(self._rng.choice([0.0, 0.02]))
                    return
        except OSError:
            return


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()
