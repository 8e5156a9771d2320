"""A sentinel in this process that says what a test wants it to, which real ones do only by chance."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[], int | str | None]
"""The primary's port, the whole answer of Redis's protocol, or None where it watches none."""


class FakeSentinel:
    """`asked` counts the questions."""

    def __init__(self, answer: Answer) -> None:
        self.asked = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, suppress(OSError, ValueError):
            while head := lines.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int(lines.readline()[1:])
                    words.append(lines.read(size + 2)[:-2].decode())
                reply = self._reply() if words[0].upper() == "SENTINEL" else "+OK\r\n"
                connection.sendall(reply.encode())

    def _reply(self) -> str:
        self.asked += 1
        answer = self._answer()
        if answer is None:
            return "*-1\r\n"
        if isinstance(answer, str):
            return answer
        return f"*2\r\n$9\r\n127.0.0.1\r\n${len(str(answer))}\r\n{answer}\r\n"


@contextmanager
def sentinel(answer: Answer) -> Iterator[FakeSentinel]:
    """One that answers so, for as long as the block."""
    fake = FakeSentinel(answer)
    try:
        yield fake
    finally:
        fake.close()


def url_of(*ports: int, query: str = "", credentials: str = "", scheme: str = "redis") -> str:
    """Of the primary `shop`, as the sentinels at these ports have it."""
    places = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"{scheme}+sentinel://{credentials}{places}/shop{query}"
