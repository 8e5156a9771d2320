"""Who is alive: this process's name among the workers, its heartbeat, and what the dead leave behind.

A worker is dead by one decision in one place: when it leaves the set of workers (``takeover.lua``).
Two things lead there. *Known*: a neighbour in the same pid namespace sees that the process is gone;
that is certain, and takes seconds. *Presumed*: no heartbeat for `SILENCE_S`. Slow is not silent, for the
heartbeat has a thread of its own; a process that is frozen for that long is declared dead, and finds
when it wakes that its name is gone (``fenced``): it then claims nothing under that name any more.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from pathlib import Path

from worker.store.keys import Keys
from worker.store.scripts import Scripts

BEAT_S = 3.0
SILENCE_S = 20.0
"""Seconds without a heartbeat after which a worker on another machine is presumed dead."""


class Membership:
    """This process among the workers of a queue."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys
        self._lock = threading.Lock()
        self._watching_since: float | None = None
        self.owner = ""

    def join(self) -> str:
        """Take a new name and announce it; returns it.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        with self._lock:
            owner = secrets.token_urlsafe(8)
            self._scripts.insist("heartbeat", owner, 0, home())
            self.owner = owner
            return owner

    def rejoin(self, fenced: str) -> str:
        """Take a new name instead of one that was declared dead, unless another thread just has."""
        if self.owner == fenced:
            self.join()
        return self.owner

    def beat(self, looks_at_queue: bool) -> bool:
        """Say that this process is alive; False where it had been declared dead, and took a new name.

        Args:
            looks_at_queue: whether it consumes, too: what `aigc health` asks for.

        Raises:
            redis.RedisError: Redis is away.
        """
        owner = self.owner
        try:
            alive = self._scripts.run("heartbeat", owner, int(looks_at_queue)) == 1
        except Exception:
            # After an outage of Redis every heartbeat is old: a worker may only judge others by their
            # silence after it has itself been connected for that long.
            self._watching_since = None
            raise
        if self._watching_since is None:
            self._watching_since = time.monotonic()
        if not alive:
            self.rejoin(owner)
        return bool(alive)

    def take_over(self) -> dict[str, tuple[int, int]]:
        """Give back what dead workers held: by name, messages given back and attempts left unresolved."""
        client, keys = self._scripts.client, self._keys
        taken: dict[str, tuple[int, int]] = {}
        homes = client.hgetall(keys.homes)
        now = int(client.time()[0]) * 1000
        may_presume = self._watching_since is not None and time.monotonic() - self._watching_since > SILENCE_S
        for name, beat in client.zrange(keys.workers, 0, -1, withscores=True):
            owner = name.decode()
            if owner == self.owner:
                continue
            known = is_gone(homes.get(name, b"").decode())
            presumed = may_presume and now - beat > SILENCE_S * 1000
            if known or presumed:
                given, unresolved = self._take_over(owner, 0 if known else SILENCE_S)
                if given >= 0:
                    taken[owner] = (given, unresolved)
        return taken

    def pulses_here(self) -> list[float]:
        """Seconds since each consuming worker of this machine (or container) looked at the queue.

        Raises:
            redis.RedisError: Redis is away.
        """
        client, keys = self._scripts.client, self._keys
        now = int(client.time()[0])
        homes = client.hgetall(keys.homes)
        here = "/".join(_here())
        return [
            now - int(pulse) / 1000
            for owner, pulse in client.hgetall(keys.pulses).items()
            if homes.get(owner, b"").decode().startswith(f"{here}/")
        ]

    def leave(self) -> int:
        """Say goodbye: give back what this process still holds; returns how many messages."""
        return self._take_over(self.owner, 0)[0]

    def _take_over(self, owner: str, silence_s: float) -> tuple[int, int]:
        given, unresolved = self._scripts.run("takeover", owner, round(silence_s * 1000))
        return int(given), int(unresolved)


def home() -> str:
    """Where this process lives: ``<boot id>/<pid namespace>/<pid>/<start time>``; empty where unknown.

    Only within one pid namespace of one boot does a pid mean the same to both sides, and only with its
    start time does it mean the same process.
    """
    with contextlib.suppress(OSError, IndexError):
        return "/".join((*_here(), str(os.getpid()), _started(os.getpid())))
    return ""


def is_gone(place: str) -> bool:
    """Whether a process is certainly gone; False where that cannot be known from here."""
    with contextlib.suppress(OSError, ValueError):
        boot, namespace, pid, started = place.split("/")
        if (boot, namespace) != _here():
            return False
        try:
            return _started(int(pid)) != started
        except (FileNotFoundError, ProcessLookupError):
            return True
    return False


def _here() -> tuple[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return boot, str(os.stat("/proc/self/ns/pid").st_ino)


def _started(pid: int) -> str:
    # The command's name, in parentheses, may hold blanks: count the fields after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    state, start_time = fields[0], fields[19]
    return "gone" if state in "ZX" else start_time
