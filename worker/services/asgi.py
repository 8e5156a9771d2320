"""uvicorn for services that take requests: bounds on what strangers may hold of it, and a graceful end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTIONS_MOST: Final = 512
HEAD_MOST: Final = 32_768
KEEP_ALIVE_S: Final = 30
STOP_WITHIN_S: Final = 15
BODY_WITHIN_S: Final = 10.0
"""For so long a service waits for the body of a request."""

REQUEST_WITHIN_S: Final = BODY_WITHIN_S + 2
RETRY_AFTER_S: Final = 5
"""What is told with a 503."""

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: %d\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    % RETRY_AFTER_S
)


def server_of(app: Any) -> uvicorn.Server:
    """A server that has not begun: `serve` it inside `stopped_by_signals`."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
    )


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's waits for ever for a request to be complete, and keeps a head of any size.

    httptools and not h11: its parser refuses what proxies may read otherwise, as a length and chunks both.
    """

    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0  # in all reads but the one in which the request began, which is bounded by itself
    _head_is_complete = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MOST:
            transport.write(_FULL)
            transport.close()
        else:
            self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._head_is_complete:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._head_is_complete and self._head_bytes > HEAD_MOST:
            self.send_400_response("The head of the request is too large.")
        elif self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete):
            self._begin()  # bytes that begin no request ended the wait for one

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes, self._head_is_complete = 0, False
        self._begin()

    def on_headers_complete(self) -> None:
        self._head_is_complete = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._end()
        super().on_message_complete()
        self._head_bytes, self._head_is_complete = 0, False

    def _begin(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(REQUEST_WITHIN_S, self.transport.close)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@contextmanager
def stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Have SIGINT and SIGTERM end the server once it has answered what it has taken."""
    # uvicorn raises the signal again once it has stopped: without handlers of ours around it, that
    # would kill the process. They also serve a signal that comes before uvicorn listens for it.
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, server.handle_exit) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
