"""How to wait for a Redis that is away or refuses: ever longer, and not for ever once the worker stops."""

from __future__ import annotations

import logging
import random
import threading
import time

import redis

from tasks.exceptions import AigcError
from tasks.redis_errors import refusal
from worker.local import descriptors

log = logging.getLogger(__name__)

Away = (redis.RedisError, OSError)
"""What is raised for a Redis that is away, or refuses, or answers what it cannot have been asked."""

Refused = redis.ResponseError
"""What is raised where Redis answers with an error."""

GRACE_S = 10.0
"""How long a stopping worker still waits for Redis, to settle what is in flight."""

STOPPING_TIMEOUT_S = 2.0
"""How long a stopping worker waits for one answer: one that never comes must not keep it from ending."""

_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_REMIND_EVERY_S = 30.0


class StoreClosed(AigcError):
    """Redis stayed away, or went on refusing, beyond the time that a stopping worker may wait for it."""


class UnexpectedReply(AigcError, redis.RedisError):
    """What came is not the answer to what was sent. Whether that was done is not known."""


def in_words(error: BaseException, name: str) -> str:
    """What keeps a script from being run: a Redis that refuses it, or one that cannot be reached."""
    if descriptors.ran_out(error):
        return f"{descriptors.words()}; {name} waits"
    if isinstance(error, Refused):
        # redis-py takes its first word off the error.
        return f"Redis refuses {name}: {' '.join(filter(None, (error.status_code, str(error))))}"
    if words := refusal(error):  # a password, say, that was changed: to redis-py an error of the connection
        return f"{words}; {name} waits"
    return f"Redis is away ({type(error).__name__}: {error}); {name} waits"


class Stop:
    """Whether the worker stops, and for how long those that wait for Redis still may. Thread-safe."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._at = 0.0
        self._given_up = False

    def begin(self) -> None:
        """The worker stops: from now on wait for Redis only for `GRACE_S`."""
        if not self._begun.is_set():
            self._at = time.monotonic()
            self._begun.set()

    @property
    def has_begun(self) -> bool:
        return self._begun.is_set()

    def sleep(self, seconds: float) -> None:
        """Sleep, until the worker begins to stop at most."""
        if self._begun.is_set():
            time.sleep(min(seconds, 0.1))
        else:
            self._begun.wait(seconds)

    def gives_up(self, since: float, early: bool) -> bool:
        """Whether to wait no longer for what has been waited for since then, on the monotonic clock."""
        if not self._begun.is_set():
            return False
        if early or self._given_up:
            return True
        # One that has waited for all of the time speaks for all: they wait for the same Redis.
        self._given_up = time.monotonic() - max(since, self._at) > GRACE_S
        return self._given_up


class Wait:
    """The pauses between the tries of one call: longer each time, and not for ever once the worker stops.
    For the thread that calls.

    Args:
        name: the script, for the log.
        give_up_early: do not wait at all once the worker stops: nothing has been done yet.
    """

    def __init__(self, name: str, stop: Stop, give_up_early: bool = False) -> None:
        self._name = name
        self._stop = stop
        self._give_up_early = give_up_early
        self._began = time.monotonic()
        self._told = float("-inf")
        self._pause_s = _SHORTEST_PAUSE_S

    def after(self, error: BaseException) -> None:
        """Pause after this error; raises StoreClosed where there is no more time."""
        self._stop.sleep(self.pause_s(error))

    def pause_s(self, error: BaseException) -> float:
        """How long to pause after this error, which is logged now and then; raises as :meth:`after` does."""
        now = time.monotonic()
        if now - self._told > _REMIND_EVERY_S:
            self._told = now
            log.warning("%s", in_words(error, self._name))
        if self._stop.gives_up(self._began, self._give_up_early):
            raise StoreClosed(self._name)
        pause, self._pause_s = self._pause_s, min(_LONGEST_PAUSE_S, self._pause_s * 2)
        return pause * random.uniform(0.5, 1.0)
