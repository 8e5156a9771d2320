"""A vendor that accepts everything at once, or after a fixed delay: lean, so that it is not what is measured.

``python -m bench.vendor PORT DELAY_MS``, as a process of its own. It checks nothing: what is compared is
the work of the queues, and every contender signs in the same way.
"""

from __future__ import annotations

import asyncio
import sys

_BODY = b'{"success":true,"model":"task-of-the-benchmark","errorCode":null,"errorMsg":null}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)


class Connection(asyncio.Protocol):
    """One kept-alive connection. Requests have a Content-Length, and may arrive in pieces."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head_end := self._buffer.find(b"\r\n\r\n")) >= 0:
            end = head_end + 4 + _content_length(self._buffer[:head_end])
            if len(self._buffer) < end:
                return
            self._buffer = self._buffer[end:]
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        self._transport.write(ANSWER)


def _content_length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return int(next(line for line in lines if line.startswith(b"content-length:")).split(b":")[1])


async def serve(port: int, delay_s: float) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(delay_s), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
