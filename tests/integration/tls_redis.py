"""A Redis that speaks TLS: the embedded one, which cannot, behind something that can."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.redis_server import RedisServer

CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "server.pem"
"""Of 127.0.0.1, with its key, signed by itself: whoever is not told to trust it does not."""

BOUND_S = 20.0


class _TlsFront:
    """Takes connections over TLS, and passes on what comes to a port that speaks none."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATE)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._over, self._ends = socket.socketpair()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """End all connections, those whose handshake is not done yet too."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._over.close()  # to whoever waits the other end is readable from now on
        for thread in list(self._threads):
            thread.join(BOUND_S)
            assert not thread.is_alive()
        self._listener.close()
        self._ends.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(BOUND_S / 2)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            near = self._context.wrap_socket(connection, server_side=True)
            with near, socket.create_connection(("127.0.0.1", self._target)) as far:
                self._pass_on(near, far)

    def _pass_on(self, near: ssl.SSLSocket, far: socket.socket) -> None:
        sinks: dict[socket.socket, socket.socket] = {near: far, far: near}
        while True:
            ready = [near] if near.pending() else select.select([near, far, self._ends], [], [])[0]
            for source in ready:
                data = source.recv(1 << 16) if source in sinks else b""
                if not data:
                    return
                sinks[source].sendall(data)


@contextmanager
def over_tls(server: RedisServer) -> Iterator[str]:
    """The URL, without options, under which the server is reached over TLS."""
    front = _TlsFront(server.port)
    try:
        yield f"rediss://127.0.0.1:{front.port}/0"
    finally:
        front.close()
