"""Looks at Redis every few seconds, and shows it: on a terminal as a page, elsewhere a line each time."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tasks.prices import Prices
from tasks.redis_errors import refusal
from worker.cli.forwards import stream_names
from worker.cli.live.rates import Totals, rates, totals, within
from worker.cli.live.view import Seen, drawn, one_line
from worker.config.settings import Limits, limits_from_environ
from worker.store.keys import KeyNames
from worker.store.metric_fields import counted
from worker.store.redis_wait import Away
from worker.store.scripts import Scripts
from worker.store.status import LOOK_S, status
from worker.store.unread_lists import UnreadList, find

if TYPE_CHECKING:
    from rich.console import Console

UNREAD_EVERY_S: Final = 60.0
"""To look through the keys for lists that nobody reads costs more than all else."""

_TICK_S: Final = 0.25
"""How soon a key, or another size of the terminal, is noticed."""


class Looker:
    """Looks in a daemon thread, so that a Redis that hangs keeps no key from being heard.

    Raises:
        SettingsError: limits or prices of the environment cannot be right.
    """

    def __init__(self, scripts: Scripts, keys: KeyNames, every_s: float) -> None:
        self._scripts, self._keys, self._every_s = scripts, keys, every_s
        self._streams = stream_names()
        self._limits = limits_in_words(limits_from_environ())
        self._currency = Prices.from_environ().currency
        self._totals: list[Totals] = []
        self._unread: tuple[float, list[UnreadList]] | None = None
        self._found: tuple[float, dict[str, Any]] | None = None
        self._away = ""
        self._news = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="looker", daemon=True).start()

    def seen(self) -> Seen:
        """What was seen last."""
        at_s, found = self._found or (0.0, None)
        spent = self._totals[-1].spent if self._totals else 0.0
        old_s = time.monotonic() - at_s
        return Seen(found, rates(self._totals), spent, old_s, self._away, self._limits, self._currency)

    def news(self, seconds: float) -> bool:
        """Wait for another look, so many seconds at most; whether there was one."""
        there = self._news.wait(seconds)
        self._news.clear()
        return there

    def _run(self) -> None:
        while True:
            begun = time.monotonic()
            try:
                self._look(begun)
                self._away = ""
            except Away as error:
                self._away = refusal(error) or str(error) or type(error).__name__
            self._news.set()
            time.sleep(max(0.0, begun + self._every_s - time.monotonic()))

    def _look(self, now: float) -> None:
        client = self._scripts.client
        if self._unread is None or now - self._unread[0] > UNREAD_EVERY_S:
            self._unread = now, find(client, self._keys, LOOK_S)[0]
        found = status(self._scripts, self._keys, self._streams, self._unread[1])
        new = totals(counted(client.hgetall(self._keys.metrics)), time.monotonic())
        self._totals = within(self._totals, new)
        self._found = new.at_s, found


def limits_in_words(limits: Limits) -> str:
    """The limits of this machine's environment: the workers' may be others."""
    of_all = "" if limits.rate_per_s is None else f"{limits.rate_per_s:g} posts/s"
    inflight = "" if limits.max_inflight is None else f"{limits.max_inflight} in flight"
    each = [f"{name} {rate:g}/s" for name, rate in limits.workflow_rates.items()]
    return ", ".join(filter(None, [of_all, inflight, *each])) or "none set in this environment"


def live(looker: Looker, console: Console, every_s: float) -> None:
    """Draw over the whole terminal until q or Ctrl-C; afterwards it is as it was."""
    from rich.live import Live

    # As Ctrl-C: else a terminal would be left without echo, and with the page on it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    looker.start()
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as screen:
        size = None
        while not pressed(_TICK_S):
            if looker.news(0) or console.size != size:
                size = console.size
                screen.update(drawn(looker.seen(), _now(), every_s, *size), refresh=True)


def in_lines(looker: Looker, every_s: float) -> None:
    """Print a line for each look until whoever reads goes away, or Ctrl-C."""
    looker.start()
    while True:
        # A look that takes longer is told of by none: what hangs says nothing new.
        if looker.news(every_s):
            print(one_line(looker.seen(), _now()), flush=True)


@contextlib.contextmanager
def _keys() -> Iterator[Any]:
    """A function that waits so many seconds, and says whether q was pressed; keys are not echoed."""
    if not sys.stdin.isatty():
        yield lambda seconds: time.sleep(seconds)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> bool:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        # At its end, when the terminal is gone, it is ready and empty.
        return bool(ready) and (not (read := os.read(descriptor, 64)) or b"q" in read.lower())

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _now() -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime())
