"""A vendor's server over real sockets that does what a script says, and a request to it from end to end."""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from worker.domain.outcome import Failure, Reply
from worker.domain.signing import Credentials
from worker.vendor import Client, Exchange

KEYS = Credentials("access", "secret")
BODY = b'{"workflow":"TEXT2IMAGE","version":"1.0.0","algoInput":{}}'
ACCEPTED = json.dumps({"success": True, "model": "task-1", "errorCode": None, "errorMsg": None}).encode()
BOUND_S = 20.0
CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "server.pem"

Script = Callable[[socket.socket, threading.Event], None]


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """Accepts connections, reads each request whole, then does as the script says.

    While `reads` is not set, nothing more is read.
    """

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._script = script
        self._tls = tls
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.reads = threading.Event()
        self.reads.set()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads[0].start()

    @property
    def connections(self) -> int:
        return len(self._sockets)

    def close(self) -> None:
        self._over.set()
        # A blocked accept returns on shutdown; closing alone does not wake it.
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(BOUND_S)
            assert not thread.is_alive()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(0.05)
            self._sockets.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        if self._tls:
            try:
                connection.settimeout(BOUND_S)
                connection = self._tls.wrap_socket(connection, server_side=True)
                connection.settimeout(0.05)
            except OSError:
                connection.close()
                return
        with connection:
            while (request := self._read(connection)) is not None:
                self.requests.append(request)
                try:
                    self._script(connection, self._over)
                except OSError:
                    return

    def _read(self, connection: socket.socket) -> bytes | None:
        """One request with its body; None when the client is gone, or the test over."""
        data, whole = bytearray(), 0
        while not self._over.is_set():
            self.reads.wait(BOUND_S)
            try:
                data += (chunk := connection.recv(1 << 18))
            except TimeoutError:
                continue
            except OSError:
                return None
            if not chunk:
                return None
            if data.startswith(b"\x16"):
                return bytes(data)  # a TLS greeting
            if not whole and (end := data.find(b"\r\n\r\n")) >= 0:
                _, _, length = data[:end].lower().partition(b"content-length:")
                whole = end + 4 + int(length.split()[0] if length else 0)
            if whole and len(data) >= whole:
                return bytes(data)
        return None


def serving() -> Iterator[Callable[..., Server]]:
    """Starts a server with a script, or with one answer for every request; `tls=True` over TLS."""
    servers: list[Server] = []

    def start(script: Script | bytes, *, tls: bool = False) -> Server:
        answer = script
        act = (lambda c, _: c.sendall(answer)) if isinstance(answer, bytes) else answer
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if context:
            context.load_cert_chain(CERTIFICATE)
        servers.append(Server(act, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def vendor(url: str, *, connect_s: float = 2.0, read_s: float = 10.0) -> Client:
    """A client of this server."""
    return Client(url, KEYS, connect_timeout_s=connect_s, read_timeout_s=read_s)


def begin(client: Client, body: bytes = BODY, request_id: str = "request-1") -> Exchange | Failure:
    """A request over a kept connection or a new one."""
    connection = client.idle() or client.connect()
    return connection if isinstance(connection, Failure) else client.send(connection, body, request_id)


def finish(client: Client, exchange: Exchange) -> Reply | Failure:
    """Wait for its answer as a loop would."""
    while (answer := exchange.advance()) is None:
        poll = select.poll()
        poll.register(exchange, exchange.events)
        poll.poll(max(0.0, exchange.deadline - time.monotonic()) * 1000)
    client.keep(exchange.connection)
    return answer


def post(client: Client | str, body: bytes = BODY, *, read_s: float = 10.0) -> Reply | Failure:
    """One request and its answer; of a new client where only a URL is given."""
    if isinstance(client, str):
        client = vendor(client, read_s=read_s)
    exchange = begin(client, body)
    return exchange if isinstance(exchange, Failure) else finish(client, exchange)


def hang(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(BOUND_S)


def reset(connection: socket.socket, _over: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def leave(connection: socket.socket, _over: threading.Event) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def dripping(data: bytes) -> Script:
    def drip(connection: socket.socket, over: threading.Event) -> None:
        for position in range(len(data)):
            connection.sendall(data[position : position + 1])
            if over.wait(0.05):
                return

    return drip
