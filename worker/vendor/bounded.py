"""Connections of urllib3 whose answers have one bound of time: bytes that keep coming do not extend it.

Its own read timeout is for each read, so that an answer which drips would never end.
"""

from __future__ import annotations

import http.client
import io
import logging
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

# It warns, with a traceback, of each answer with an odd line in its head; what such an answer says is heard.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class _Reader(io.RawIOBase):
    """Reads from a socket until a moment that its timeout tells when this is made."""

    def __init__(self, source: socket.SocketIO, plain: socket.socket) -> None:
        self._source = source
        self._socket = plain
        seconds = plain.gettimeout()
        self._end = None if seconds is None else time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            left_s = self._end - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left_s)
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        source: Any = self.fp
        self.fp = io.BufferedReader(_Reader(source.detach(), sock))


class _HTTPConnection(HTTPConnection):
    response_class = _Response


class _HTTPSConnection(HTTPSConnection):
    response_class = _Response


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


POOLS: Final[Mapping[str, type[HTTPConnectionPool]]] = {"http": _HTTPPool, "https": _HTTPSPool}
"""By scheme, what a `PoolManager` is to make."""
