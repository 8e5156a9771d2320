"""Run the Lua scripts, and wait out a Redis that is away.

A Redis that restarts, fails over or is full is an outage, not an error of any job: whoever needs it
waits, says so once, and goes on. All scripts may be run again after a lost reply; each says why.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any, TypeVar

import redis
from redis.exceptions import NoScriptError

from tasks.connection import connection_class

log = logging.getLogger(__name__)
T = TypeVar("T")

Call = tuple[str, Sequence[Any]]
"""A script's name and its arguments."""

Away = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError)
"""What a Redis that is away, loading, read-only after a failover, or full raises; see :func:`is_away`."""

GRACE_S = 10.0
"""How long a stopping worker still waits for a Redis that is away, to settle what is in flight."""

_PASSING = tuple(
    getattr(redis.exceptions, name)
    for name in (
        "OutOfMemoryError",
        "ReadOnlyError",
        "ClusterDownError",
        "MasterDownError",
        "TryAgainError",
        "NoPermissionError",
        "NoScriptError",
    )
)
_PASSING_WORDS = ("OOM", "READONLY", "NOPERM", "MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY")
_LONGEST_PAUSE_S = 2.0
_REMIND_EVERY_S = 30.0


class StoreClosed(Exception):
    """Redis stayed away beyond the time that a stopping worker may wait for it."""


def is_away(error: BaseException) -> bool:
    """Whether waiting may help: an error answer that does not pass is a fault of ours."""
    if isinstance(error, redis.ResponseError) and not isinstance(error, _PASSING):
        # redis-py has classes for some, and a script's error carries Redis's own words further inside.
        return any(word in str(error).split() for word in _PASSING_WORDS)
    return isinstance(error, Away)


_INCLUDE = re.compile(r"^--#include (\w+)$", re.MULTILINE)


@cache
def _source(name: str) -> str:
    """A script's text, with what it includes in place."""
    text = resources.files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")
    return _INCLUDE.sub(lambda included: _source(included[1]), text)


class Scripts:
    """The scripts on one Redis, shared by all threads of a process.

    Args:
        url: ``redis://`` or ``rediss://`` URL.
        keys: the first keys of every script: the queue's name, and the results'.
        connections: most connections to keep, about one for each thread.
    """

    def __init__(self, url: str, keys: Sequence[str], connections: int = 128) -> None:
        self.client = connect(url, connections)
        self._keys = _packed((len(keys), *keys))
        self._fixed = 3 + len(keys)
        self._heads: dict[str, bytes] = {}
        self._of_thread = threading.local()
        self._connections: list[Any] = []
        self._stopping = threading.Event()
        self._given_up = False

    def run(self, name: str, *args: Any) -> Any:
        """Run a script once.

        Raises:
            redis.RedisError: as Redis or the connection has it.
        """
        answer = self.run_all([(name, args)])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Run scripts one after another in one round trip; each is a step of its own.

        Returns:
            Their answers; for a script that is wrong, or was called wrongly, its error.

        Raises:
            redis.RedisError: Redis is away, if only for one of them; the others may have been run.
        """
        answers = self._exchange(calls)
        # A restarted Redis has forgotten its scripts.
        forgotten = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if forgotten:
            for i in forgotten:
                self._load(calls[i][0])
            again = self._exchange([calls[i] for i in forgotten])
            for i, answer in zip(forgotten, again, strict=True):
                answers[i] = answer
        for answer in answers:
            if isinstance(answer, Exception) and is_away(answer):
                raise answer
        return answers

    def _exchange(self, calls: Sequence[Call]) -> list[Any]:
        # A connection of the thread's own, and commands packed by hand: a third of the CPU time of
        # redis-py's way through pool, retries, metrics and argument types.
        connection = self._connection()
        connection.send_packed_command([b"".join([self._packed(name, args) for name, args in calls])])
        return [self._answer(connection) for _ in calls]

    def _packed(self, name: str, args: Sequence[Any]) -> bytes:
        head = self._heads.get(name) or self._load(name)
        return b"*%d\r\n%b%b" % (len(args) + self._fixed, head, _packed(args))

    def _answer(self, connection: Any) -> Any:
        """One answer, an error as a value: those after it have to be read too."""
        try:
            return connection.read_response()
        except redis.ResponseError as error:
            return error

    def _load(self, name: str) -> bytes:
        digest = self.client.script_load(_source(name))
        head = self._heads[name] = _packed((b"EVALSHA", digest)) + self._keys
        return head

    def _connection(self) -> Any:
        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            pool = self.client.connection_pool
            # Not the pool's own way of making one, which counts those of threads that have ended.
            connection = self._of_thread.connection = pool.connection_class(**pool.connection_kwargs)
            self._connections.append(connection)
        return connection

    def insist(self, name: str, *args: Any, give_up_early: bool = False) -> Any:
        """Run a script, waiting for Redis as long as it takes.

        Args:
            give_up_early: where the worker stops, do not wait at all: nothing has been done yet.

        Raises:
            StoreClosed: the worker stops, and Redis has been away for `GRACE_S`.
            redis.ResponseError: the script is wrong.
        """
        return self.patiently(lambda: self.run(name, *args), name, give_up_early=give_up_early)

    def insist_all(
        self, calls: Sequence[Call], *, give_up_early: bool = False, meanwhile: Callable[[], None]
    ) -> list[Any]:
        """Run scripts in one round trip as :meth:`run_all` does, waiting for Redis as :meth:`insist` does.

        Args:
            meanwhile: called now and then while Redis is away.
        """
        name = calls[0][0]
        return self.patiently(
            lambda: self.run_all(calls), name, give_up_early=give_up_early, meanwhile=meanwhile
        )

    def patiently(
        self,
        call: Callable[[], T],
        name: str,
        *,
        give_up_early: bool = False,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> T:
        """Call until Redis answers; see :meth:`insist`."""
        pause, reminded, began = 0.05, 0.0, time.monotonic()
        while True:
            try:
                return call()
            except Away as error:
                if not is_away(error):
                    raise
                now = time.monotonic()
                if now - reminded > _REMIND_EVERY_S:
                    reminded = now
                    log.warning("Redis is away (%s: %s); %s waits", type(error).__name__, error, name)
            meanwhile()
            if self._stopping.is_set():
                if give_up_early or self._given_up or time.monotonic() - began > GRACE_S:
                    self._given_up = self._given_up or not give_up_early
                    raise StoreClosed(name)
                time.sleep(0.1)
            else:
                self._stopping.wait(pause * random.uniform(0.5, 1.0))
            pause = min(_LONGEST_PAUSE_S, pause * 2)

    def close(self) -> None:
        """Close all connections; one that is used again opens anew."""
        for connection in self._connections:
            connection.disconnect()
        self.client.close()

    def stop_waiting(self) -> None:
        """The worker stops: from now on wait for a Redis that is away only for `GRACE_S`."""
        self._stopping.set()


def _packed(arguments: Sequence[Any]) -> bytes:
    """Arguments in Redis's protocol; text as UTF-8."""
    parts = []
    for argument in arguments:
        data = argument if type(argument) is bytes else str(argument).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def connect(url: str, connections: int = 128) -> Any:
    """A client for raw bytes, without redis-py's own retries: :meth:`Scripts.patiently` owns them.

    Untyped, because redis-py's annotations cannot tell a client of bytes from one of text.
    """
    return redis.Redis.from_url(
        url,
        max_connections=connections,
        socket_timeout=10,  # longer than any blocking call of ours
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=25,
        socket_read_size=8192,  # each thread's connection has a buffer of this size, by default 64 KB
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        protocol=2,
        connection_class=connection_class(url),
    )
