"""A transport of requests' whose answers come within a deadline, however slowly their bytes do."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

_of_thread = threading.local()


def answer_within(seconds: float) -> None:
    """From now on this thread's requests have so many seconds, all together."""
    _of_thread.until = time.monotonic() + seconds


def left_s() -> float:
    """What of them is left.

    Raises:
        TimeoutError: nothing.
    """
    left = float(_of_thread.until) - time.monotonic()
    if left <= 0:
        raise TimeoutError("it did not answer in time")
    return left


class BoundedAdapter(HTTPAdapter):
    """Sends as another adapter would, over connections that keep to the deadline.

    Args:
        policy: whose trust and proxies hold.
    """

    def __init__(self, policy: HTTPAdapter) -> None:
        self._policy = policy
        super().__init__(pool_connections=1, pool_maxsize=1)

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        pool: Any = self._policy.get_connection_with_tls_context(*args, **options)
        pool.ConnectionCls = _SecureConnection if pool.scheme == "https" else _Connection
        return pool

    def cert_verify(self, *args: Any) -> None:
        policy: Any = self._policy
        policy.cert_verify(*args)

    def close(self) -> None:
        self._policy.close()
        super().close()


class _Bounded:
    """What `http.client` reads an answer from, in the place of the socket."""

    def __init__(self, plain: Any) -> None:
        self.plain = plain

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self.plain), 8192)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class _Reader(io.RawIOBase):
    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # A timeout of the socket's begins anew with each byte.
        self._plain.settimeout(left_s())
        return int(self._plain.recv_into(buffer))


class _Within:
    """The part of a connection that reads the answer."""

    sock: Any

    def getresponse(self) -> Any:
        plain, self.sock = self.sock, _Bounded(self.sock)
        try:
            return super().getresponse()  # type: ignore[misc]
        finally:
            if self.sock is not None:  # it was closed where the answer says so
                self.sock = plain


class _Connection(_Within, HTTPConnection):
    pass


class _SecureConnection(_Within, HTTPSConnection):
    pass
