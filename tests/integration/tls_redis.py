"""A Redis that speaks TLS: the embedded one, which cannot, behind something that can."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.chaos.proxy import Proxy
from tests.redis_server import RedisServer

CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "server.pem"
"""Of 127.0.0.1, with its key, signed by itself: whoever is not told to trust it does not."""


class TlsProxy(Proxy):
    """Forwards what comes over TLS."""

    async def _listen(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]


@contextmanager
def over_tls(server: RedisServer) -> Iterator[str]:
    """The URL, without options, under which the server is reached over TLS."""
    with TlsProxy(server.port, Random(0)).running() as proxy:
        yield f"rediss://127.0.0.1:{proxy.port}/0"
