"""Writes log lines in a thread of its own: whoever logs never waits for the reader of the log.

A pipe whose reader has stopped, a terminal that is held, a disk that hangs: a plain write blocks the thread
that logs, and under the handler's lock every other one. Here lines wait in a bounded queue instead. What
does not fit is dropped, counted, and said once the reader is back.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Final

LINES_MOST: Final = 10_000
"""Lines that may wait, about 3 MB; beyond that only those of weight are taken, and no more than `SPARE`."""

SPARE: Final = 1_000

TURN: Final = 256
"""Lines that the thread takes out of the queue at a time."""

LINGER_S: Final = 0.02
"""After a turn the thread sleeps for so long: to wake it for each line would cost more than to write it."""

TELL_EVERY_S: Final = 5.0
"""How often dropped lines are said while more are being dropped."""

FLUSH_S: Final = 2.0
"""How long `LineWriter.flush` waits for a reader that takes nothing."""

FLUSH_MOST_S: Final = 10.0
"""How long it waits at most, for one that is slow."""

_ROUND_S: Final = 0.005


class LineWriter:
    """A queue of lines and the thread that writes them. A fork begins with an empty one of its own.

    Any thread may put lines, one at a time: the handler's lock sees to that.

    Args:
        descriptor: where to write.
        dropped: makes the line that says how many were dropped.
        most: lines that may wait.
    """

    def __init__(self, descriptor: int, dropped: Callable[[int], str], most: int = LINES_MOST) -> None:
        self._descriptor = descriptor
        self._line_about = dropped
        self._most = most
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # SimpleQueue may be entered again by its own thread: a finalizer that logs interrupts anything.
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()
        self._torn = False
        self._given = itertools.count(1)
        self._last_given = 0
        self._done = 0
        self._failed = 0
        self._drops = itertools.count(1)
        self._dropped = 0
        self._told = 0
        self._tell_at = 0.0

    @property
    def unsaid(self) -> int:
        """Lines that are lost and of which the log does not tell yet."""
        return self._dropped + self._failed - self._told

    def put(self, line: str, *, weighs: bool = False) -> None:
        """Have a line written; never waits.

        Args:
            weighs: it is taken though the queue is full, as long as there is some room to spare.
        """
        if self._lines.qsize() >= (self._most + SPARE if weighs else self._most):
            self._dropped = next(self._drops)
            return
        self._last_given = next(self._given)
        self._lines.put(line.encode("utf-8", "backslashreplace") + b"\n")
        if self._thread is None:
            self._start()

    def flush(self) -> bool:
        """Wait until all lines up to now are written, unless nobody reads them; whether they are."""
        wanted, seen = self._last_given, -1
        end = now = time.monotonic()
        end += FLUSH_MOST_S
        while self._done < wanted:
            self._hurry.set()
            if self._done != seen:
                seen, give_up = self._done, min(end, now + FLUSH_S)
            if now > give_up:
                return False
            time.sleep(_ROUND_S)
            now = time.monotonic()
        return True

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # none can be had, or the interpreter ends: then by this one
            self._thread = None
            self._turn()

    def _run(self) -> None:
        while True:
            self._turn(self._lines.get())
            if self._lines.qsize() < TURN:
                # The first line after a silence goes out at once, those that follow it soon, together.
                self._hurry.wait(LINGER_S)
                if not self._lines.qsize():
                    self._hurry.clear()

    def _turn(self, *first: bytes) -> None:
        lines = list(first)
        with contextlib.suppress(Empty):
            lines += [self._lines.get_nowait() for _ in range(min(TURN, self._lines.qsize()))]
        for chunk, count in _chunks(lines):
            if not self._write(chunk):
                self._failed += count
            self._done += count
            if self.unsaid and self._is_time_to_tell():
                self._tell()
        if self.unsaid and not self._lines.qsize():
            self._tell()

    def _is_time_to_tell(self) -> bool:
        """Whether it is to be said that lines were dropped though others, older ones, wait still."""
        now = time.monotonic()
        self._tell_at = self._tell_at or now + TELL_EVERY_S
        return now >= self._tell_at

    def _tell(self) -> None:
        unsaid, self._tell_at = self.unsaid, 0.0
        if self._write(self._line_about(unsaid).encode("utf-8", "backslashreplace") + b"\n"):
            self._told += unsaid

    def _write(self, chunk: bytes) -> bool:
        """Write whole lines; whether they are written."""
        left = b"\n" + chunk if self._torn else chunk
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                    self._torn = bool(left)
                except BlockingIOError:  # somebody who shares it wants it so
                    _wait_until_writable(self._descriptor)
        except OSError:  # the reader is gone, the disk is full …
            return False
        return True


def _chunks(lines: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """As many whole lines as a pipe takes in one piece, where others write, too; and how many they are."""
    begin = size = 0
    for end, line in enumerate(lines):
        if end > begin and size + len(line) > select.PIPE_BUF:
            yield b"".join(lines[begin:end]), end - begin
            begin, size = end, 0
        size += len(line)
    if lines:
        yield b"".join(lines[begin:]), len(lines) - begin


def _wait_until_writable(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll(1000)
