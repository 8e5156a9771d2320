"""A host of pictures on loopback, as customers have them: honest ones, slow ones, hostile ones."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SHOP = Path(__file__).parent / "data" / "shop"

Answering = Callable[["Handler"], None]


def jpg(width: int = 300, height: int = 400, size: int = 6000, before: bytes = b"") -> bytes:
    """The beginning of a JPEG, filled up to that size; ``before`` goes before its dimensions."""
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 8, 8, height, width, 0)
    head = b"\xff\xd8" + before + frame + b"\xff\xda\x00\x02"
    return head + b"\x11" * (size - len(head))


def segment(payload: bytes) -> bytes:
    """A segment of a JPEG that is not looked at, as cameras write before the dimensions."""
    return b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload


def png(width: int = 300, height: int = 400, size: int = 6000) -> bytes:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5B", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    return head + b"\x11" * (size - len(head))


def bmp(width: int = 300, height: int = 400, size: int = 6000, header: int = 40) -> bytes:
    sides = struct.pack("<HH" if header == 12 else "<ii", width, height)
    head = b"BM" + struct.pack("<IHHII", size, 0, 0, 54, header) + sides
    return head + b"\x00" * (size - len(head))


class Handler(BaseHTTPRequestHandler):
    """Answers by the host's table; keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    server: Host

    def do_GET(self) -> None:
        self.close_connection = True
        host = self.server
        with host.lock:
            host.asked.append((self.path, dict(self.headers.items())))
        with suppress(OSError):
            host.table.get(self.path.partition("?")[0], missing)(self)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; a header's name with _ for -."""
        self.send_response(status)
        for name, text in {"Content_Length": str(len(body)), **headers}.items():
            if text:
                self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.send(body)

    def send(self, body: bytes) -> None:
        with self.server.lock:
            self.server.bytes_sent += len(body)
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def missing(handler: Handler) -> None:
    handler.answer(404, b"no such picture")


def serves(body: bytes) -> Answering:
    """A host that knows Range."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range", "")
        if not asked:
            handler.answer(200, body)
            return
        start, end = (int(part) for part in asked.removeprefix("bytes=").split("-"))
        if start >= len(body):
            handler.answer(416, Content_Range=f"bytes */{len(body)}")
            return
        part = body[start : end + 1]
        handler.answer(206, part, Content_Range=f"bytes {start}-{start + len(part) - 1}/{len(body)}")

    return answer


def ignores_ranges(body: bytes) -> Answering:
    return lambda handler: handler.answer(200, body)


def says(status: int, body: bytes = b"", **headers: str) -> Answering:
    return lambda handler: handler.answer(status, body, **headers)


def redirects(location: str, status: int = 302) -> Answering:
    return says(status, Location=location)


def endless(handler: Handler) -> None:
    """A picture without end, whose length nobody says."""
    handler.answer(200, jpg(), Content_Length="")
    while True:
        handler.send(bytes(64 * 1024))


def chunked(body: bytes) -> Answering:
    """Its length is not said, and it ends."""

    def answer(handler: Handler) -> None:
        handler.answer(200, Content_Length="", Transfer_Encoding="chunked")
        for i in range(0, len(body), 100_000):
            part = body[i : i + 100_000]
            handler.send(b"%x\r\n%b\r\n" % (len(part), part))
        handler.send(b"0\r\n\r\n")

    return answer


def drips(before: bytes) -> Answering:
    """A byte now and then, for ever."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(before)
        while not handler.server.ended.wait(0.02):
            handler.wfile.write(b"x")

    return answer


def long_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.send(b"X-Long: " + b"x" * 8000 + b"\r\n")


def slow(seconds: float, then: Answering) -> Answering:
    def answer(handler: Handler) -> None:
        handler.server.ended.wait(seconds)
        then(handler)

    return answer


class Host(ThreadingHTTPServer):
    """One on 127.0.0.1; ``asked`` are the requests that came, ``connections`` how many connections."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.table: dict[str, Answering] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.bytes_sent = 0
        self.connections = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()
        super().__init__((address, 0), Handler)
        self.url = f"http://{address}:{self.server_port}"

    def verify_request(self, *_: object) -> bool:
        self.connections += 1
        return True

    def handle_error(self, *_: object) -> None:
        pass

    def paths(self) -> list[str]:
        """The paths that were asked for."""
        with self.lock:
            return [path for path, _ in self.asked]


@contextmanager
def hosting(**table: Answering) -> Iterator[Host]:
    """A host with these paths, without their slash; a name's last _ stands for the dot before `jpg`."""
    with Host() as host:
        for name, answering in table.items():
            host.table[f"/{name.replace('_jpg', '.jpg')}"] = answering
        thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield host
        finally:
            host.ended.set()
            host.shutdown()
            thread.join()


class Listener:
    """Listens at all addresses of this machine, and says how many connections came: none should."""

    def __enter__(self) -> Listener:
        self._socket = socket.create_server(("0.0.0.0", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def connections(self) -> int:
        """How many came since the last time."""
        count = 0
        with suppress(BlockingIOError):
            while True:
                self._socket.accept()[0].close()
                count += 1
        return count
