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

log = logging.getLogger(__name__)
T = TypeVar("T")

Away = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError)
"""What a Redis that is away, loading, read-only after a failover, or full raises."""

_LONGEST_PAUSE_S = 2.0
_REMIND_EVERY_S = 30.0


class StoreClosed(Exception):
    """Redis stayed away beyond the time that a stopping worker may wait for it."""


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
        self._keys = (len(keys), *keys)
        self._digests: dict[str, str] = {}
        self._give_up_at: float | None = None
        self._stopping = threading.Event()

    def run(self, name: str, *args: Any) -> Any:
        """Run a script once.

        Raises:
            redis.RedisError: as Redis or the connection has it.
        """
        digest = self._digests.get(name)
        if digest is not None:
            try:
                return self.client.evalsha(digest, *self._keys, *args)
            except redis.exceptions.NoScriptError:
                pass  # a restarted Redis has forgotten its scripts
        self._digests[name] = self.client.script_load(_source(name))
        return self.client.evalsha(self._digests[name], *self._keys, *args)

    def insist(self, name: str, *args: Any) -> Any:
        """Run a script, waiting for Redis as long as it takes.

        Raises:
            StoreClosed: the worker stops and its grace period for Redis is over.
        """
        return self.patiently(lambda: self.run(name, *args), name)

    def patiently(self, call: Callable[[], T], name: str) -> T:
        """Call until Redis answers; see :meth:`insist`."""
        pause, reminded = 0.05, 0.0
        while True:
            try:
                return call()
            except Away as error:
                if time.monotonic() - reminded > _REMIND_EVERY_S:
                    reminded = time.monotonic()
                    log.warning("Redis is away (%s: %s); %s waits", type(error).__name__, error, name)
            if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
                raise StoreClosed(name)
            if self._stopping.is_set():
                time.sleep(0.05)
            else:
                self._stopping.wait(pause * random.uniform(0.5, 1.0))
            pause = min(_LONGEST_PAUSE_S, pause * 2)

    def close_within(self, seconds: float) -> None:
        """Wait at most this much longer for a Redis that is away; for a worker that stops."""
        self._give_up_at = time.monotonic() + seconds
        self._stopping.set()


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
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        protocol=2,
    )
