"""Wait for a message to arrive in any of the queue's lists, without taking it."""

from __future__ import annotations

import logging
import os
import select
import time
from typing import Any, Final

log = logging.getLogger(__name__)

BLOCK_S: Final = 4
"""How long Redis waits before it says that nothing came: below the socket's timeout."""

_PAUSE_S: Final = 0.5


class ArrivalWatcher:
    """Tells one thread when there is a message in a list that was empty.

    BLMOVE from a list to itself waits until there is an element, and leaves it where it is. Each list has a
    connection on which that is asked; the thread waits at all of them. Lists of numbered priorities are not
    watched: the consumer looks at them every second.

    Args:
        client: of the queue's Redis.
        lists: those that people enqueue to.
    """

    def __init__(self, client: Any, lists: list[str]) -> None:
        self._pool = client.connection_pool
        self._lists = lists
        self._connections: dict[str, Any] = {}
        self._asked: set[str] = set()
        self._ends = os.pipe()  # what is written stays unread: after `end` no wait begins anew

    def __call__(self, timeout: float) -> None:
        """Wait for a message in any list, or for the end, at most so many seconds."""
        try:
            self._wait(timeout)
        except Exception:
            # Of whatever class: the consumer looks for messages all the same, only later.
            log.debug("waiting for a message failed; it goes on", exc_info=True)
            self._disconnect()
            time.sleep(min(timeout, _PAUSE_S))

    def end(self) -> None:
        """Wait no more, in this thread or any other: a worker that stops does so at once."""
        os.write(self._ends[1], b"\0")

    def close(self) -> None:
        """Ask nothing any more; only once no thread waits."""
        self._disconnect()
        for descriptor in self._ends:
            os.close(descriptor)

    def _disconnect(self) -> None:
        for connection in self._connections.values():
            connection.disconnect()
        self._connections.clear()
        self._asked.clear()

    def _wait(self, timeout: float) -> None:
        poll, watched = select.poll(), {}
        poll.register(self._ends[0], select.POLLIN)
        for name in self._lists:
            connection = self._connection(name)
            # Not again at once after an answer: the message may still be there, and would be found twice.
            if name not in self._asked:
                connection.send_command("BLMOVE", name, name, "RIGHT", "RIGHT", BLOCK_S)
                self._asked.add(name)
            watched[connection._sock.fileno()] = name
            poll.register(connection._sock, select.POLLIN)
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                if descriptor == self._ends[0]:
                    return
                name = watched[descriptor]
                connection = self._connections[name]
                if not connection.can_read(0):
                    continue  # TLS had something to say
                self._asked.discard(name)
                if connection.read_response() is not None:
                    return
                connection.send_command("BLMOVE", name, name, "RIGHT", "RIGHT", BLOCK_S)
                self._asked.add(name)

    def _connection(self, name: str) -> Any:
        connection = self._connections.get(name)
        if connection is None:
            # Its own, not one of the pool's: it is in use for as long as nothing comes.
            connection = self._pool.connection_class(**self._pool.connection_kwargs)
            connection.connect()
            self._connections[name] = connection
        return connection
