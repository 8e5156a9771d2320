"""Of which workflows there were ever jobs here: a name that is none of them may be misspelt."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Collection, Iterable
from typing import Any, Final

from tasks.payload import LISTED_NAMES
from worker.store.keys import KeyNames

MOST: Final = 1000
"""Names that one process writes down: unlisted ones are anybody's."""


class SeenWorkflows:
    """The workflows of the jobs that this process attempts, to be written down now and then. Thread-safe."""

    def __init__(self) -> None:
        self._noted: set[str] = set()
        self._new: list[str] = []
        self._lock = threading.Lock()

    def note(self, workflow: str) -> None:
        """A job of this workflow was attempted; nothing to do for all but the first."""
        if workflow in self._noted or len(self._noted) >= MOST:
            return
        with self._lock:
            self._noted.add(workflow)
            self._new.append(workflow)

    def record(self, client: Any, keys: KeyNames) -> None:
        """Write down those that are new.

        Raises:
            redis.RedisError: Redis is away; the next call does it.
        """
        new = list(self._new)
        if new:
            client.sadd(keys.workflows, *new)
            with self._lock:
                del self._new[: len(new)]


def unseen(client: Any, keys: KeyNames, names: Iterable[str]) -> dict[str, str | None]:
    """Those of the names of which no job was ever seen, each with the nearest one that is known.

    Raises:
        redis.RedisError: Redis is away.
    """
    if not (asked := list(names)):
        return {}
    seen = client.smembers(keys.workflows) | client.smembers(keys.backlogs)
    return misspelt(asked, {name.decode() for name in seen})


def misspelt(names: Iterable[str], seen: Collection[str]) -> dict[str, str | None]:
    """The same, where it is known of which there were jobs; those of the vendor's page count as seen."""
    known = {*seen, *LISTED_NAMES}
    by_capitals = {name.upper(): name for name in sorted(known)}
    found = {}
    for name in sorted(set(names) - known):
        near = difflib.get_close_matches(name.upper(), by_capitals, n=1, cutoff=0.5)
        found[name] = by_capitals[near[0]] if near else None
    return found


def of_rates(found: dict[str, str | None]) -> list[str]:
    """A warning for each limit of such a workflow."""
    prefix = "AIGC_RATE_PER_S__"
    return [
        f"{prefix}{name} limits nothing: no job of a workflow of that name was ever seen"
        + (f": did you mean {prefix}{near}?" if near else "")
        for name, near in found.items()
    ]


def of_pauses(found: dict[str, str | None]) -> list[str]:
    """A warning for each pause of such a workflow."""
    return [
        f"the pause of {name} holds nothing: no job of a workflow of that name was ever seen"
        + (f": did you mean {near}?" if near else "")
        for name, near in found.items()
    ]
