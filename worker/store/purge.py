"""Delete all that a queue has in Redis. Nothing else forgets which jobs were bought."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from worker.store.keys import KeyNames
from worker.store.workers import SILENCE_S

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Purge:
    """The keys of one queue, in the order in which they are to go.

    Args:
        found: names of its keys, the records of jobs last: while a message is there, its record tells a
            worker that the job was bought.
        records: how many of them are records.
    """

    found: tuple[bytes, ...]
    records: int

    def run(self, client: Any) -> int:
        """Delete them; how many were there still. May be repeated."""
        names, deleted = iter(self.found), 0
        while page := list(islice(names, _PAGE)):
            deleted += client.unlink(*page)
        return deleted


def plan(client: Any, keys: KeyNames, *, results: bool) -> Purge:
    """What there is to delete, with or without the streams of results and, where it is named, of outputs."""
    names = set(_scanned(client, keys))
    for stream in filter(None, (keys.results, keys.outputs)):
        if results and client.exists(stream):
            names.add(stream.encode())
        else:
            names.discard(stream.encode())
    ordered = sorted(names, key=lambda name: (keys.is_record(_text(name)), _text(name) not in keys.lists))
    return Purge(tuple(ordered), sum(keys.is_record(_text(name)) for name in ordered))


def living(client: Any, keys: KeyNames) -> int:
    """How many workers have shown that they are alive."""
    now_s = client.time()[0]
    return int(client.zcount(keys.workers, (now_s - SILENCE_S) * 1000, "+inf"))


def _scanned(client: Any, keys: KeyNames) -> Iterator[bytes]:
    literally = re.sub(r"([\\*?\[\]])", r"\\\1", keys.queue)
    for name in client.scan_iter(match=f"{literally}*", count=_PAGE):
        if keys.has(_text(name)):
            yield name


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")
