"""The totals of a queue once a minute for a day, in Redis: what rates over time are made of.

One list, `<queue>:history`, of at most `MOST` samples of 80 to 600 bytes each. Whichever worker comes first
adds one when the last is `DUE_S` old. Redis's clock alone counts. Where all workers are dead nobody adds any,
and that gap is true.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from tasks.frozen import value
from worker.store import oldest_job
from worker.store.history_values import NO_LATENCY, Sample, from_json, to_json
from worker.store.keys import KeyNames
from worker.store.metric_fields import Counted, counted
from worker.store.queued_jobs import queued_jobs
from worker.store.redis_health import ask
from worker.store.scripts import Scripts

log = logging.getLogger(__name__)

DUE_S: Final = 55.0
MOST: Final = 1600
"""A day and a bit, though each sample were added as soon as it is due."""

_READ_MOST: Final = 200_000
"""Bytes of one list: a worker has jobs to see to as well."""


@value(frozen=True, slots=True)
class History:
    """``now_s`` is Redis's time, in seconds since the epoch; ``samples`` are in the order of taking."""

    now_s: float
    samples: tuple[Sample, ...]


def read(scripts: Scripts, keys: KeyNames) -> History:
    """All samples that are kept, in one round trip. Writes nothing.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    found = ask(scripts.client, {"time": ("time",), "kept": ("lrange", keys.history, 0, -1)})
    seconds, microseconds = found["time"]
    samples = (sample for sample in map(_sample, found["kept"]) if sample is not None)
    return History(seconds + microseconds / 1_000_000, tuple(samples))


@lru_cache(maxsize=2 * MOST)
def _sample(entry: bytes) -> Sample | None:
    """A stored sample; None for one of a later version, perhaps. Whoever looks often reads each once."""
    at_ms, _, text = entry.partition(b"|")
    try:
        return from_json(int(at_ms) / 1000, text)
    except ValueError as error:
        log.debug("a sample of the history was passed over: %s", error)
        return None


def take(scripts: Scripts, keys: KeyNames) -> bool:
    """Add a sample if one is due; whether this call did. One round trip where none is, else about eight.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    how = round(1000 * DUE_S), MOST
    if not scripts.run("sample", "", *how):
        return False
    return bool(scripts.run("sample", to_json(look(scripts.client, keys)), *how))


def look(client: Any, keys: KeyNames) -> Sample:
    """How things stand now, of all workflows together.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    first = ask(
        client,
        {
            "time": ("time",),
            "metrics": ("hgetall", keys.metrics),
            "delayed": ("zcard", keys.delayed),
            "sending": ("zcard", keys.sending),
            "held": ("zcard", keys.dead_letters("unknown")),
            "backlogs": ("smembers", keys.backlogs),
            "next": ("zrange", keys.delayed, 0, oldest_job.SAMPLE - 1),
        },
    )
    now_ms = first["time"][0] * 1000 + first["time"][1] // 1000
    lengths = {name: ("llen", keys.backlog(name.decode())) for name in first["backlogs"]}
    backlogs = ask(client, lengths) if lengths else {}
    ends = ask(client, oldest_job.questions(keys, first["backlogs"], first["next"]))
    lists = queued_jobs(client, (*keys.lists, *keys.further_lists), _READ_MOST)
    queued = sum(lists.values()) + sum(backlogs.values())
    return sample_of(counted(first["metrics"]), first, queued, oldest_job.found_s(ends, now_ms))


def sample_of(totals: Counted, found: Mapping[str, Any], queued: int, oldest_s: float | None) -> Sample:
    """A sample of what was found; pure."""
    by_bucket = zip(*(histogram.counts for histogram in totals.attempt_s.values()), strict=True)
    seconds, microseconds = found["time"]
    return Sample(
        at_s=seconds + microseconds / 1_000_000,
        jobs=_by_label(totals.jobs),
        attempts=_by_label(totals.attempts),
        latency=tuple(map(sum, by_bucket)) or NO_LATENCY,
        spent=sum(totals.spent.values()),
        queued=queued,
        delayed=found["delayed"],
        in_flight=found["sending"],
        held=found["held"],
        oldest_s=oldest_s if queued or found["delayed"] else 0.0,
    )


def _by_label(counts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_, label), count in counts.items():
        found[label] = found.get(label, 0) + count
    return found
