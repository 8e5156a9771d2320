"""Checks under way and those that are known: each URL once for a while, and no host holds up the others.

A few threads fetch, in all and for each host. Who asks does not wait: it is told when its URL is known.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from tasks.frozen import value
from worker.preflight.expiry import expired
from worker.preflight.hosts import Check, Host, Hosts, Tell
from worker.preflight.known import KnownFaults, digest_of
from worker.preflight.values import Code, Fault

log = logging.getLogger(__name__)


@value(frozen=True, slots=True)
class Known:
    """What is known of a URL now."""

    fault: Fault | None


@value(frozen=True, slots=True)
class Pending:
    """A check is under way; whoever asked is told. ``within_s``: how long it is going to take, about."""

    within_s: float


@value(frozen=True, slots=True)
class Busy:
    """Its host has enough to do: ask again after so many seconds."""

    after_s: float


class Checks:
    """Thread-safe. Its threads end when there is nothing to do, and never keep the process alive.

    Args:
        check: finds the fault of a URL; blocks.
        threads: how many checks run at a time.
        per_host: how many of them for one host.
        queued_most: how many wait for a host before it counts as busy.
    """

    def __init__(
        self,
        check: Callable[[str], Fault | None],
        *,
        threads: int = 32,
        per_host: int = 8,
        queued_most: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._threads, self._queued_most, self._clock = threads, queued_most, clock
        self._lock = threading.Lock()
        self._known = KnownFaults()
        self._under_way: dict[bytes, Check] = {}
        self._hosts = Hosts(per_host)
        self._turns: deque[Host] = deque()
        self._alive = 0
        self._names = itertools.count()
        self._closed = False

    def ask(self, url: str, tell: Tell, *, at: float) -> Known | Pending | Busy:
        """What is known of a URL; begins to find out where nothing is.

        Args:
            tell: told the fault once, by any thread, where the answer is `Pending`. It must not block.
            at: when the job is going to be sent, in seconds since the epoch.
        """
        if over := expired(url, at):
            return Known(over)
        digest, now = digest_of(url), self._clock()
        with self._lock:
            if known := self._known.get(digest, now):
                return Known(*known)
            host = self._hosts.of(url, now)
            if (check := self._under_way.get(digest)) is not None:
                check.tell.append(tell)
                return Pending(host.expected_s(now))
            if fault := host.fault(now):
                return Known(fault)
            if len(host.queue) >= self._queued_most or self._closed:
                return Busy(host.book(now))
            check = self._under_way[digest] = Check(url, digest, [tell])
            host.queue.append(check)
            self._give_turn(host, now)
            self._start_thread()
            return Pending(host.expected_s(now))

    def close(self) -> None:
        """Begin no check any more; those under way end by themselves, and nobody is told."""
        with self._lock:
            self._closed = True
            self._turns.clear()

    # with the lock held

    def _give_turn(self, host: Host, now: float) -> None:
        if host.has_turn(now) and host not in self._turns:
            self._turns.append(host)

    def _start_thread(self) -> None:
        if self._alive >= self._threads or not self._turns:
            return
        thread = threading.Thread(target=self._run, name=f"picture_{next(self._names)}", daemon=True)
        self._alive += 1
        try:
            thread.start()
        except RuntimeError:  # none is to be had: those that there are go on, or the next one asked for
            self._alive -= 1

    # threads that fetch

    def _run(self) -> None:
        while (following := self._next()) is not None:
            host, check = following
            try:
                fault = self._check(check.url)
            except Exception:
                log.exception("a fault of this program while a picture was checked")
                fault = Fault(Code.UNREACHABLE, "could not be checked: see the worker's log", certain=False)
            self._found(host, check, fault)

    def _next(self) -> tuple[Host, Check] | None:
        """The next check: hosts take turns."""
        with self._lock:
            if self._closed or not self._turns:
                self._alive -= 1
                return None
            host, now = self._turns.popleft(), self._clock()
            check = host.queue.popleft()
            check.began = now
            host.running.append(check)
            self._give_turn(host, now)
            return host, check

    def _found(self, host: Host, check: Check, fault: Fault | None) -> None:
        with self._lock:
            now = self._clock()
            known = host.done(check, fault, now)
            for each in known:
                del self._under_way[each.digest]
                self._known.note(each.digest, fault, now)
            if not host.queue and host in self._turns:
                self._turns.remove(host)
            self._give_turn(host, now)
            told = [] if self._closed else [tell for each in known for tell in each.tell]
        for tell in told:
            tell(fault)
