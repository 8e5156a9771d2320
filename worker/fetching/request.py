"""One request of a customer's URL, and its answer."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from worker.fetching.addresses import Network
from worker.fetching.streams import BoundedSocket, Deadline, TooMuch, connected
from worker.fetching.urls import Target
from worker.fetching.values import Limits

_CHUNK = 64 * 1024


class Answer:
    """Status, headers and as much of the body as is read, while the connection is open."""

    def __init__(self, response: http.client.HTTPResponse, source: BoundedSocket) -> None:
        self._response = response
        self._source = source
        self.status = response.status
        self.headers = response.headers
        self.ended = False
        """Whether the body was read to its end."""

    @property
    def length(self) -> int | None:
        """How many bytes of the body are yet to be read; None where no header says it."""
        return self._response.length

    @property
    def says_its_end(self) -> bool:
        """Whether a body that breaks off can be told from a whole one."""
        return bool(self._response.chunked) or self._response.length is not None

    def read(self, size: int) -> bytes:
        """So many bytes of the body; fewer where it ends.

        Raises:
            OSError, http.client.HTTPException: the connection is lost before the body's end.
        """
        self._source.grant(2 * size + _CHUNK)  # chunks have heads
        found = bytearray()
        while len(found) < size and not self.ended:
            part = self._response.read1(min(size - len(found), _CHUNK))
            found += part
            self.ended = not part
        if self.ended and self._response.length:
            raise http.client.IncompleteRead(bytes(found), self._response.length)
        return bytes(found)


@contextmanager
def asked(
    target: Target,
    headers: Mapping[str, str],
    *,
    allowed: Sequence[Network],
    trust: ssl.SSLContext | None,
    limits: Limits,
    deadline: Deadline,
) -> Iterator[Answer]:
    """The answer to a GET, on a connection of its own that ends with the block.

    Raises whatever fails.
    """
    plain = connected(target.host, target.port, allowed, deadline, limits.connect_s)
    source = BoundedSocket(plain, deadline, limits.head_bytes, limits.silence_s)
    try:
        if target.scheme == "https":
            source.secure(trust or _public_trust(), target.name)
        connection = _connection(target, trust)
        connection.sock = source
        connection.request("GET", target.path, headers=dict(headers))
        try:
            response = connection.getresponse()
        except TooMuch:
            raise http.client.HTTPException(f"more than {limits.head_bytes} bytes of headers") from None
        with response:
            yield Answer(response, source)
    finally:
        source.end()


def _connection(target: Target, trust: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """What writes and reads HTTP; it connects nowhere. Its class decides whether Host names the port."""
    if target.scheme == "https":
        return http.client.HTTPSConnection(target.name, target.port, context=trust or _public_trust())
    return http.client.HTTPConnection(target.name, target.port)


@lru_cache(maxsize=1)
def _public_trust() -> ssl.SSLContext:
    """The public certificate authorities, whatever the environment says: 16 ms to load."""
    return ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
