"""Who is alive: this process's name among the workers, its heartbeat, and what the dead leave behind.

A worker is dead by one decision in one place: when it leaves the set of workers (``takeover.lua``).
Two things lead there. *Known*: a neighbour in the same pid namespace sees that the process is gone;
that is certain, and takes seconds. *Presumed*: no heartbeat for `SILENCE_S`. Slow is not silent, for the
heartbeat has a thread of its own; a process that is frozen for that long is declared dead, and finds
when it wakes that its name is gone (``fenced``): it then claims nothing under that name any more.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.local import description, process_identity
from worker.store.keys import KeyNames
from worker.store.redis_wait import Away
from worker.store.scripts import Scripts

BEAT_S = 3.0
SILENCE_S = 20.0
"""Seconds without a heartbeat after which a worker is presumed dead, whatever machine it is on."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A worker that is dead; ``known`` where its process is certainly gone.

    ``last_beat`` is when it beat last, in milliseconds since the epoch on Redis's clock.
    """

    owner: str
    identity: str
    known: bool
    last_beat: float


class WorkerRegistry:
    """This process among the workers of a queue. Thread-safe, but for `dead`, which is for one thread.

    Args:
        is_gone: whether the process that lives there is certainly gone.
    """

    def __init__(
        self, scripts: Scripts, keys: KeyNames, is_gone: Callable[[str], bool] = process_identity.is_gone
    ) -> None:
        self._is_gone = is_gone
        self._scripts = scripts
        self._keys = keys
        self._lock = threading.Lock()
        self._last_beats: dict[str, tuple[float, float]] = {}
        self._connected_since = float("-inf")
        self._has_left = False
        self.identity = process_identity.mine()
        self.owner = ""

    def join(self) -> str:
        """Take a new name and announce it; returns it.

        Raises:
            StoreClosed: the worker stops while Redis is away.
        """
        with self._lock:
            return self._join()

    def show_up(self) -> None:
        """Announce this process, if it is not yet, as far as Redis allows it: operators see it then."""
        if self.owner:
            return
        with contextlib.suppress(*Away), self._lock:
            if not (self.owner or self._has_left):
                owner = secrets.token_urlsafe(8)
                self._scripts.run("heartbeat", owner, 0, "", "", self.identity, description.mine())
                self.owner = owner

    def rejoin(self, fenced: str) -> str:
        """Take a new name instead of one that was declared dead, unless another thread just has.

        Not after the goodbye: a name that nobody beats under would be a dead worker to all others.
        """
        with self._lock:
            return self._join() if self.owner == fenced and not self._has_left else self.owner

    def _join(self) -> str:
        owner = secrets.token_urlsafe(8)
        about = (self.identity, description.mine())
        self._scripts.insist("heartbeat", owner, 0, "", "", *about, give_up_early=True)
        self.owner = owner
        return owner

    def beat(self, looks_at_queue: bool, refusal: str = "", trouble: str = "") -> bool:
        """Say that this process is alive; False where it had been declared dead, and took a new name.

        Args:
            looks_at_queue: whether it consumes, too: what `aigc health` asks for.
            refusal: what the vendor answered, where it refuses its configuration; empty where it does not.
            trouble: what else keeps it from working, in words; empty where nothing does.

        Raises:
            redis.RedisError: Redis is away.
        """
        owner = self.owner
        try:
            alive = self._scripts.run("heartbeat", owner, int(looks_at_queue), refusal, trouble) == 1
        except Exception:
            # While Redis is away nobody can beat: a silence counts only as long as this worker is connected.
            self._connected_since = time.monotonic()
            raise
        if not alive:
            self.rejoin(owner)
        return bool(alive)

    def dead(self) -> list[Dead]:
        """The workers that are gone, or have been silent for too long, and were not taken over yet.

        Raises:
            redis.RedisError: Redis is away.
        """
        client, keys = self._scripts.client, self._keys
        identities = client.hgetall(keys.identities)
        beats = {name.decode(): beat for name, beat in client.zrange(keys.workers, 0, -1, withscores=True)}
        now, found = time.monotonic(), []
        self._last_beats = {name: self._last_beats.get(name, (beat, now)) for name, beat in beats.items()}
        for owner, beat in beats.items():
            seen, since = self._last_beats[owner]
            if beat != seen:
                self._last_beats[owner] = (beat, now)
                since = now
            identity = identities.get(owner.encode(), b"").decode()
            known = self._is_gone(identity)
            # By this process's own clock, for Redis's may be set.
            silence_s = now - max(since, self._connected_since)
            if owner != self.owner and (known or silence_s > SILENCE_S):
                found.append(Dead(owner, identity, known, beat))
        return found

    def forget_gone(self) -> None:
        """Remove what workers that are gone left where nobody else clears it, or an earlier version does not.

        Raises:
            redis.RedisError: Redis is away.
        """
        client, keys = self._scripts.client, self._keys
        living = set(client.zrange(keys.workers, 0, -1))
        for key in (keys.routes, keys.refusals, keys.descriptions):
            if gone := [owner for owner in client.hkeys(key) if owner not in living]:
                client.hdel(key, *gone)

    def identities(self) -> set[str]:
        """The process identities of all workers that were not taken over.

        Raises:
            redis.RedisError: Redis is away.
        """
        found = self._scripts.client.hgetall(self._keys.identities)
        return {identity.decode() for identity in found.values()}

    def take_over(self, dead: Dead) -> tuple[int, int] | None:
        """Give back what a dead worker held: messages given back, attempts left unresolved.

        None where another neighbour was first, or it turned out to be alive.

        Raises:
            redis.RedisError: Redis is away.
        """
        given, unresolved = self._take_over(dead.owner, "" if dead.known else f"{dead.last_beat:.0f}")
        return (given, unresolved) if given >= 0 else None

    def leave(self) -> int:
        """Say goodbye: give back what this process still holds; returns how many messages."""
        with self._lock:  # a name that another thread is about to take is given up, too
            self._has_left = True
        return self._take_over(self.owner, "")[0]

    def _take_over(self, owner: str, last_beat: str) -> tuple[int, int]:
        given, unresolved = self._scripts.run("takeover", owner, last_beat)
        return int(given), int(unresolved)
