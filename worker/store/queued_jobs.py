"""How many jobs the lists of a queue hold, where a message may hold many: anybody may push, so nobody counts.

Exact for a list that is read as a whole, up to `READ_MOST` bytes, and where all messages hold as many jobs.
Of a longer one messages from all along it are read, and tell for the others. To find a message in the middle
of a very long list takes Redis milliseconds: of such lists they tell for a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tasks.contract import BATCH_TASK_NAME
from worker.domain.message import Malformed, parse

READ_MOST: Final = 2_000_000
"""Bytes to read of one list; about 2,000 messages of one job, or 70 of fifty."""

_PROBES: Final = 16
_CHUNK: Final = 10
_CHUNKS: Final = 40
_STANDS_S: Final = 60.0
_BATCH: Final = BATCH_TASK_NAME.encode()


@dataclass(slots=True)
class Samples:
    """How many jobs a message of a very long list holds, and until when on the clock that stands. For one
    thread at a time.

    Args:
        long: from how many messages on a list is one.
    """

    long: int = 10_000
    clock: Callable[[], float] = time.monotonic
    _of: dict[str, tuple[float, int, float]] = field(default_factory=dict)

    def told(self, name: str, length: int) -> int | None:
        """How many jobs so many messages are; None where that is to be looked at."""
        until, then, each = self._of.get(name, (0.0, 0, 0.0))
        is_alike = self.long <= length and then / 2 <= length <= then * 2
        return round(length * each) if is_alike and self.clock() < until else None

    def note(self, name: str, length: int, jobs: int) -> None:
        if length >= self.long:
            self._of[name] = self.clock() + _STANDS_S, length, jobs / length


def queued_jobs(
    client: Any, names: Iterable[str], read_most: int = READ_MOST, samples: Samples | None = None
) -> dict[str, int]:
    """Jobs of each list, by its name; in three round trips.

    Args:
        samples: of the calls before.

    Raises:
        redis.RedisError: Redis is away.
    """
    samples = samples or Samples()
    lengths = _answers(client, {name: [("llen", name)] for name in names})
    found = {name: length for name, (length,) in lengths.items()}
    told = {name: samples.told(name, length) for name, length in found.items() if length}
    full = [name for name, jobs in told.items() if jobs is None]
    counts = _looked_into(client, {name: found[name] for name in full}, read_most)
    for name, jobs in counts.items():
        samples.note(name, found[name], jobs)
    return found | {name: jobs for name, jobs in told.items() if jobs is not None} | counts


def _looked_into(client: Any, lengths: Mapping[str, int], read_most: int) -> dict[str, int]:
    """Jobs of each of these lists, of so many messages each."""
    found, full = dict(lengths), list(lengths)
    probes = _answers(client, {name: _spread(name, found[name], _PROBES, 1) for name in full})
    asked = {}
    for name, samples in probes.items():
        sample = [raw for part in samples for raw in part]
        typical = max(1, sum(map(len, sample)) // max(1, len(sample)))
        asked[name] = _ranges(name, found[name], read_most // typical)
    for name, parts in _answers(client, asked).items():
        counts = [_jobs_in(raw) for part in parts for raw in part]
        # What was taken meanwhile is in no list any more.
        found[name] = round(found[name] * sum(counts) / len(counts)) if counts else 0
        if len(asked[name]) == 1:
            found[name] = sum(counts)
    return found


def _ranges(name: str, length: int, most: int) -> list[tuple[Any, ...]]:
    """What to read: all of it, or so many messages from all along it."""
    if length <= max(most, _CHUNK):
        return [("lrange", name, 0, -1)]
    chunks = max(_PROBES, min(_CHUNKS, most))
    return _spread(name, length, chunks, max(1, min(_CHUNK, most // chunks)))


def _spread(name: str, length: int, chunks: int, size: int) -> list[tuple[Any, ...]]:
    """So many chunks of that size, from one end of the list to the other: messages of many jobs often lie in
    its middle, where producers of single ones go on before and after them."""
    starts = (round(number * max(0, length - size) / (chunks - 1)) for number in range(chunks))
    return [("lrange", name, start, start + size - 1) for start in dict.fromkeys(starts)]


def _answers(client: Any, asked: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[Any]]:
    with client.pipeline(transaction=False) as pipe:
        for calls in asked.values():
            for method, *arguments in calls:
                getattr(pipe, method)(*arguments)
        answers = iter(pipe.execute())
    return {name: [next(answers) for _ in calls] for name, calls in asked.items()}


def _jobs_in(raw: bytes) -> int:
    # Without the name of their task it is one job, and need not be read. What no worker could read counts as
    # one job, too: it is one message to be seen to.
    if _BATCH not in raw:
        return 1
    try:
        return parse(raw, "").jobs
    except Malformed:
        return 1
