"""The loop's side of the network: requests that are out, and connections that are being opened.

One thread waits for all answers together. Connecting blocks, so helper threads do it, and hand back a
connection or the failure to open one, and nothing else.
"""

from __future__ import annotations

import errno
import logging
import math
import select
import threading
import time
from collections import deque
from concurrent.futures import Executor
from typing import Generic, TypeVar

from worker.domain.outcome import Failure, Reply
from worker.processing.wakeup import Wakeup
from worker.vendor import Client, Connection, Exchange

log = logging.getLogger(__name__)

Link = Connection | Failure
"""What a job is sent over; or why it cannot be sent, which is its attempt's outcome then."""

R = TypeVar("R")


class Network(Generic[R]):
    """Requests in flight, each for something of the caller's. Not thread-safe, but for the helpers' part.

    Args:
        client: sends over connections.
        helpers: threads that connect.
        wakeup: ends the waiting, too.
    """

    def __init__(self, client: Client, helpers: Executor, wakeup: Wakeup) -> None:
        self._client = client
        self._helpers = helpers
        self._wakeup = wakeup
        self._poll = select.poll()
        self._wakeup_descriptor = wakeup.fileno()
        self._poll.register(wakeup, select.POLLIN)
        self._out: dict[int, tuple[R, Exchange, int]] = {}
        self._known: list[tuple[R, Reply | Failure]] = []
        self._opened: deque[Link] = deque()
        self._failures: deque[Failure] = deque()
        self._lock = threading.Lock()
        self._connecting = 0
        self._look_at = math.inf
        self.busy_since: float | None = None
        """Since when its thread has had something to do, on the monotonic clock; None while it waits. Any
        thread may look."""

    @property
    def in_flight(self) -> int:
        """How many requests have no answer that `wait` has returned."""
        return len(self._out) + len(self._known)

    @property
    def connecting(self) -> int:
        """How many connections are being opened."""
        return self._connecting

    def link(self) -> Link | None:
        """What the next job may be sent over; None where nothing is open or known yet."""
        self._take_in()
        connection = self._client.idle()
        if connection is None and self._failures:
            return self._failures.popleft()
        return connection

    def is_usable(self, link: Link) -> bool:
        """Whether a job may be sent over it still; a failure is known for good."""
        return isinstance(link, Failure) or link.usable

    def return_link(self, link: Link) -> None:
        """A link from `link` was not used."""
        if isinstance(link, Failure):
            self._failures.append(link)
        else:
            self._client.keep(link)

    def connect(self, wanted: int) -> None:
        """See to it that so many connections are being opened."""
        for _ in range(wanted - self._connecting):
            with self._lock:
                self._connecting += 1
            ticket = threading.Lock()
            try:
                self._helpers.submit(self._open, ticket)
            except RuntimeError as error:  # no thread can be started, or the pool is closed
                if ticket.acquire(blocking=False):  # it is queued all the same, and others may come to it
                    self._hand_over(Failure(sent=False, detail=str(error), local=True))

    def forget_failures(self) -> None:
        """Nothing waits to be sent: what failed before says nothing of what comes."""
        self._take_in()
        self._failures.clear()

    def send(self, request: R, link: Link, body: bytes, request_id: str) -> None:
        """Begin to send; its answer comes out of `wait`."""
        if isinstance(link, Failure):
            self._known.append((request, link))
            return
        exchange = self._client.send(link, body, request_id)
        descriptor = exchange.fileno()
        if descriptor < 0:
            self._known.append((request, Failure(sent=True, detail="the connection was closed")))
            return
        self._out[descriptor] = request, exchange, exchange.events
        self._poll.register(descriptor, exchange.events)
        self._look_at = min(self._look_at, exchange.deadline)

    def wake(self) -> None:
        """End the waiting; by any thread."""
        self._wakeup.set()

    def wait(self, timeout_s: float) -> list[tuple[R, Reply | Failure]]:
        """The answers that have come, after waiting at most so many seconds for one, or a wakeup."""
        try:
            self._hear(0.0 if self._known else min(timeout_s, self._look_at - time.monotonic()))
        except Exception:
            if not self._known:
                raise
            log.exception("a fault while answers came; those that were heard come first")
        answers, self._known = self._known, []  # not before: a fault on the way must not lose any
        return answers

    def _hear(self, timeout_s: float) -> None:
        self.busy_since = None
        try:
            ready = self._ready(max(0.0, timeout_s))
        finally:
            self.busy_since = time.monotonic()
        for descriptor, _ in ready:
            if descriptor == self._wakeup_descriptor:
                self._wakeup.clear()
            else:
                self._advance(descriptor)
        now = time.monotonic()
        if now >= self._look_at:
            for descriptor in [each for each, (_, out, _) in self._out.items() if now >= out.deadline]:
                self._advance(descriptor)
            self._look_at = min((out.deadline for _, out, _ in self._out.values()), default=math.inf)

    def _advance(self, descriptor: int) -> None:
        request, exchange, events = self._out[descriptor]
        answer = exchange.advance()
        if answer is None:
            if exchange.events != events:
                self._out[descriptor] = request, exchange, exchange.events
                self._poll.modify(descriptor, exchange.events)
            self._look_at = min(self._look_at, exchange.deadline)
            return
        # At once: what is opened next may get the same number.
        self._poll.unregister(descriptor)
        del self._out[descriptor]
        self._known.append((request, answer))
        self._client.keep(exchange.connection)

    def _ready(self, timeout_s: float) -> list[tuple[int, int]]:
        try:
            milliseconds = None if timeout_s == math.inf else math.ceil(timeout_s * 1000)
            return self._poll.poll(milliseconds)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        # More than the limit of open files, which was lowered meanwhile: the answers were paid for.
        time.sleep(min(timeout_s, 0.05))
        found = []
        for descriptor, events in [(self._wakeup_descriptor, select.POLLIN)] + [
            (descriptor, events) for descriptor, (_, _, events) in self._out.items()
        ]:
            one = select.poll()
            one.register(descriptor, events)
            found += one.poll(0)
        return found

    def _take_in(self) -> None:
        while self._opened:
            opened = self._opened.popleft()
            if isinstance(opened, Failure):
                self._failures.append(opened)
            elif opened.fresh and not opened.usable:
                # Whoever closes at once what was opened must not have it opened again and again.
                opened.close()
                self._failures.append(Failure(sent=False, detail="the connection was closed at once"))
            else:
                self._client.keep(opened)

    def _open(self, ticket: threading.Lock) -> None:
        if ticket.acquire(blocking=False):
            self._hand_over(self._client.connect())

    def _hand_over(self, opened: Link) -> None:
        self._opened.append(opened)
        with self._lock:
            self._connecting -= 1
        self._wakeup.set()
