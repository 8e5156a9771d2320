"""What each signal means to a worker, and how a worker takes it.

`MEANINGS` is the table; docs/operations.md has the same one. All that a person or a supervisor sends is
either a soft stop, once, or leaves the worker at work. Only a signal that comes when the time to stop softly
is over ends the process at once.

The interpreter writes the number of each signal into a pipe, at once and whatever its threads are doing, and
a thread of its own reads it there and acts. So nothing happens in a signal handler, where the interrupted
code may hold the very lock that is needed, of the log for instance.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from types import FrameType
from typing import Final

log = logging.getLogger(__name__)

EXTRA_GRACE_S: Final = 10.0
"""Beyond the longest attempt: to settle it, and to give back the rest."""

ASIDE_S: Final = 1.0
"""How long what a signal asks for, and cannot be done, keeps the next one from being taken."""

_STACK_MAX_FRAMES: Final = 8

_BEGINS: Final = (
    "Warm shutdown (%s): what is in flight is finished, the rest goes back;"
    " a signal after %.0f s ends the process at once"
)
_GOES_ON: Final = "%s: already stopping: %.0f s left; a signal after that ends the process at once"
_ENDS: Final = (
    "%s, %.0f s after the first: the process ends at once; what becomes of its attempts in flight"
    " is found out from its in-flight log"
)


class Meaning(StrEnum):
    """What a worker does about a signal."""

    STOP = "soft stop"
    STACKS = "the stacks of all threads are logged"
    NOTED = "logged, else ignored"
    IGNORED = "ignored"


REAL_TIME: Final = "SIGRTMIN to SIGRTMAX"

MEANINGS: Final = {
    "SIGTERM": Meaning.STOP,
    "SIGINT": Meaning.STOP,
    "SIGQUIT": Meaning.STOP,
    "SIGHUP": Meaning.STOP,
    "SIGPWR": Meaning.STOP,
    "SIGXCPU": Meaning.STOP,
    "SIGUSR1": Meaning.STACKS,
    "SIGUSR2": Meaning.NOTED,
    "SIGALRM": Meaning.NOTED,
    "SIGVTALRM": Meaning.NOTED,
    "SIGPROF": Meaning.NOTED,
    "SIGIO": Meaning.NOTED,
    "SIGSTKFLT": Meaning.NOTED,
    # A worker that stands still for 20 s is taken for dead, and what it has in flight for unknown.
    "SIGTSTP": Meaning.NOTED,
    REAL_TIME: Meaning.NOTED,
    # Without a handler: a write to the terminal that was interrupted by one would be tried for ever.
    "SIGTTIN": Meaning.IGNORED,
    "SIGTTOU": Meaning.IGNORED,
    "SIGPIPE": Meaning.IGNORED,
    "SIGXFSZ": Meaning.IGNORED,
}
"""By name. What is not here keeps what the system does about it: SIGKILL and SIGSTOP cannot be taken, and
SIGABRT, SIGSEGV and their like are faults."""


class SignalThread:
    """Takes the signals of this process.

    Args:
        stop: begins the soft stop; called once, with the signal's name, in a thread of its own.
        grace_s: seconds after the first signal to stop within which others change nothing.
    """

    def __init__(self, stop: Callable[[str], None], grace_s: float) -> None:
        self._stop = stop
        self._grace_s = grace_s
        self._ends_at: float | None = None
        self._known = dict(_known())
        self._ends = os.pipe()
        os.set_blocking(self._ends[1], False)

    def install(self) -> None:
        """From now on take the signals; in the main thread, as Python wants it."""
        threading.Thread(target=self._watch, name="signals", daemon=True).start()
        signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self._leave_child_alone)
        for number, (name, meaning) in self._known.items():
            before = signal.getsignal(number)
            nohup = name == "SIGHUP" and before == signal.SIG_IGN
            # Somebody who wants another signal, a profiler perhaps, has asked for it on purpose.
            if before == signal.SIG_DFL or (meaning is Meaning.STOP and not nohup):
                signal.signal(number, signal.SIG_IGN if meaning is Meaning.IGNORED else _left_to_the_thread)

    def _watch(self) -> None:
        while numbers := os.read(self._ends[0], 64):
            for number in numbers:
                self._take(*self._known.get(number, ("", Meaning.IGNORED)))

    def _take(self, name: str, meaning: Meaning) -> None:
        match meaning:
            case Meaning.STOP:
                self._take_stop(name)
            case Meaning.STACKS:
                _aside(partial(_log_stacks, name))
            case Meaning.NOTED:
                _aside(partial(log.warning, "%s is ignored", name))

    def _take_stop(self, name: str) -> None:
        now = time.monotonic()
        if self._ends_at is None:
            self._ends_at = now + self._grace_s
            # Said first: a worker with nothing in flight may have ended before the next line.
            _aside(partial(log.warning, _BEGINS, name, self._grace_s))
            _aside(partial(self._stop, name))
        elif now < self._ends_at:
            _aside(partial(log.warning, _GOES_ON, name, self._ends_at - now))
        else:
            _aside(partial(log.critical, _ENDS, name, now - self._ends_at + self._grace_s))
            _aside(_flush_log)
            os._exit(1)

    def _leave_child_alone(self) -> None:
        """A child's signals are not for its parent."""
        with contextlib.suppress(ValueError, OSError):
            signal.set_wakeup_fd(-1)
        for end in self._ends:
            os.close(end)


def ignore_in_pool_process() -> None:
    """In a prefork child: leave it to the parent what follows from a signal that both are sent.

    A terminal sends Ctrl-C to all processes, and systemd its SIGTERM: a child that obeyed would leave its
    attempt unresolved. The parent ends its children by what it tells them through their pipes.
    """
    for number, _ in _known():
        signal.signal(number, signal.SIG_IGN)


def _known() -> Iterator[tuple[int, tuple[str, Meaning]]]:
    """The signals that this system has, by number."""
    for name, meaning in MEANINGS.items():
        if (number := getattr(signal, name, None)) is not None:
            yield number, (name, meaning)
    first, last = getattr(signal, "SIGRTMIN", 1), getattr(signal, "SIGRTMAX", 0)
    for number in range(first, last + 1):
        yield number, (f"SIGRTMIN+{number - first}", MEANINGS[REAL_TIME])


def _left_to_the_thread(number: int, frame: FrameType | None) -> None:
    """A handler in Python, without which the interpreter would not write the number into the pipe."""


def _aside(call: Callable[[], object]) -> None:
    """Call in another thread, and wait for a while: what blocks must not keep the next signal waiting."""
    thread = threading.Thread(target=call, name="signal", daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread can be started
        thread.start()
        thread.join(ASIDE_S)


def _flush_log() -> None:
    """See the last lines out: nothing else does where a process ends at once."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _log_stacks(name: str) -> None:
    threads = {thread.ident: thread.name for thread in threading.enumerate()}
    found = defaultdict(list)
    for ident, frame in sys._current_frames().items():
        calls = traceback.extract_stack(frame)[-_STACK_MAX_FRAMES:]
        stack = " < ".join(f"{call.name} ({call.filename}:{call.lineno})" for call in reversed(calls))
        found[stack].append(threads.get(ident, "?"))
    for stack, names in found.items():
        log.warning("%s: %d threads (%s) are in %s", name, len(names), ", ".join(sorted(names)[:8]), stack)
