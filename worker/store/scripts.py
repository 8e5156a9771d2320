"""Run the Lua scripts, and wait for a Redis that is away or refuses.

Redis that restarts, fails over, is full or was misconfigured is an outage, not an error of any job: whoever
needs it waits, says so, and goes on. There is no list of errors that pass: one that nobody thought of is
waited out like the others, since giving up on a write could lose a job, or buy it again. All scripts may be
run again after a lost reply; each says why.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any, Final, NoReturn, TypeVar

import redis
from hiredis import pack_command
from redis.exceptions import NoScriptError

from tasks.connection import connection_class
from tasks.redis_url import connection_options
from worker.store.redis_wait import STOPPING_TIMEOUT_S, Away, Refused, Stop, UnexpectedReply, Wait
from worker.store.replies import CHECKS, may_answer
from worker.store.sources import digest, source

log = logging.getLogger(__name__)
T = TypeVar("T")

CALL_TIMEOUT_S: Final = 10.0
"""How long one answer is waited for: longer than any blocking call of ours."""

LOOK_AFTER_S: Final = 0.9
"""A connection that was idle for longer is looked at before it is used. The shortest time after which Redis
can be told to close idle ones is 1 s."""

Call = tuple[str, Sequence[Any]]
"""A script's name and its arguments."""


class Scripts:
    """The scripts on one Redis, shared by all threads of a process.

    Args:
        url: ``redis://`` or ``rediss://`` URL.
        keys: the first keys of every script: the queue's name, and the results'.
        connections: most connections to keep, about one for each thread.
    """

    def __init__(self, url: str, keys: Sequence[str], connections: int = 128) -> None:
        self.client = connect(url, connections)
        for name in CHECKS:
            source(name)  # now: later there may be no file descriptor to read it with
        self.digest = digest(CHECKS)
        self._keys = (len(keys), *keys)
        self._digests: dict[str, str] = {}
        self._of_thread = threading.local()
        self._connections: list[Any] = []
        self._stop = Stop()
        self.troubles = 0
        """How often Redis has refused, or was away: what it allows may have changed since the last time."""

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
            Their answers; for a script that Redis refused, the `redis.ResponseError`.

        Raises:
            redis.RedisError: Redis is away; any of them may have been run.
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
        if any(isinstance(answer, Exception) for answer in answers):
            self.troubles += 1
        return answers

    def _exchange(self, calls: Sequence[Call]) -> list[Any]:
        # Over a connection of the thread's own, and packed by hiredis without redis-py's look at each
        # argument: half of what redis-py's way through pool, retries and packing costs.
        packed = [pack_command(("EVALSHA", self._digest(name), *self._keys, *args)) for name, args in calls]
        connection = self._connection()
        try:
            # In one piece: redis-py would make a system call of each.
            connection.send_packed_command([b"".join(packed)])
            return [self._answer(connection, name, args) for name, args in calls]
        except BaseException as error:
            self._out_of_step(connection, error)

    def _out_of_step(self, connection: Any, error: BaseException) -> NoReturn:
        """Raise this where not all answers to what was sent have been read."""
        # A reply that was not read would be taken for the answer to what this thread sends next.
        connection.disconnect()
        self.troubles += 1
        if isinstance(error, Away) or not isinstance(error, Exception):
            raise error  # not from itself: whoever goes along its causes would find no end
        raise UnexpectedReply(f"{type(error).__name__}: {error}") from error

    def _digest(self, name: str) -> str:
        return self._digests.get(name) or self._load(name)

    def _answer(self, connection: Any, name: str, args: Sequence[Any]) -> Any:
        """One answer, an error as a value: those after it have to be read too."""
        try:
            answer = self._read(connection)
        except Refused as error:
            return error
        if not may_answer(name, args, answer):
            raise UnexpectedReply(f"not an answer to {name}: {answer!r:.80}")
        return answer

    def _read(self, connection: Any) -> Any:
        if self._stop.has_begun:
            return connection.read_response(timeout=STOPPING_TIMEOUT_S)
        return connection.read_response()

    def _load(self, name: str) -> str:
        text = source(name)
        # On the connection that it is run on: after a failover one of the client's may still lead to the
        # demoted primary, which takes scripts, so that the new one would never know them.
        connection = self._connection()
        try:
            connection.send_command("SCRIPT", "LOAD", text)
            self._read(connection)
        except BaseException as error:
            self._out_of_step(connection, error)
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()  # what it answers may be anything
        self._digests[name] = digest
        return digest

    def _connection(self) -> Any:
        this, now = self._of_thread, time.monotonic()
        connection = getattr(this, "connection", None)
        if connection is not None:
            if now - this.used > LOOK_AFTER_S and _was_closed(connection):
                # Redis's own `timeout`, or something on the way that forgets: no outage. It opens anew.
                connection.disconnect()
        else:
            pool = self.client.connection_pool
            # Not the pool's own way of making one, which counts those of threads that have ended.
            connection = this.connection = pool.connection_class(**pool.connection_kwargs)
            self._connections.append(connection)
        this.used = now
        return connection

    def insist(self, name: str, *args: Any, give_up_early: bool = False) -> Any:
        """Run a script, waiting for Redis as long as it takes.

        Args:
            give_up_early: where the worker stops, do not wait at all: nothing has been done yet.

        Raises:
            StoreClosed: the worker stops, and Redis has been away for `GRACE_S`.
        """
        return self.patiently(lambda: self.run(name, *args), name, give_up_early=give_up_early)

    def patiently(self, call: Callable[[], T], name: str, *, give_up_early: bool = False) -> T:
        """Call until Redis answers; see :meth:`insist`."""
        wait = self.wait(name, give_up_early=give_up_early)
        while True:
            try:
                return call()
            except Away as error:
                wait.after(error)

    def wait(self, name: str, *, give_up_early: bool = False) -> Wait:
        """For a caller with a loop of its own: how it waits for Redis between two tries; see
        :meth:`insist`."""
        return Wait(name, self._stop, give_up_early)

    def close(self) -> None:
        """Close all connections; one that is used again opens anew."""
        for connection in self._connections:
            connection.disconnect()
        self.client.close()

    def stop_waiting(self) -> None:
        """The worker stops: from now on wait for Redis only for `GRACE_S`."""
        self._stop.begin()


def _was_closed(connection: Any) -> bool:
    """Whether an idle connection has ended meanwhile: nothing else is there to be read from it."""
    if connection._sock is None:
        return False
    poll = select.poll()
    poll.register(connection._sock, select.POLLIN)
    return bool(poll.poll(0))


def connect(url: str, connections: int = 128) -> Any:
    """A client for raw bytes, without redis-py's own retries: :meth:`Scripts.patiently` owns them.

    Untyped, because redis-py's annotations cannot tell a client of bytes from one of text.
    """
    pool = redis.ConnectionPool(
        **connection_options(url),
        max_connections=connections,
        socket_timeout=CALL_TIMEOUT_S,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=25,
        socket_read_size=8192,  # each thread's connection has a buffer of this size, by default 64 KB
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        protocol=2,
        driver_info=None,  # to tell the server its version, redis-py reads a file for each connection
        connection_class=connection_class(url),
    )
    return redis.Redis.from_pool(pool)
