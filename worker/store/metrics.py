"""What the metrics are made of, as it is in Redis at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from tasks.contract import PRIORITY_STEPS, lists_read_as
from worker.store.keys import KeyNames
from worker.store.metric_fields import Counted, counted
from worker.store.queued_jobs import Samples, queued_jobs
from worker.store.redis_health import ask
from worker.store.scripts import Scripts
from worker.store.stats import stats
from worker.store.status import with_unread
from worker.store.unread_lists import UnreadList

PRIORITIES: Final = ("high", "normal", *(str(step) for step in PRIORITY_STEPS if step), "low")
"""As `lists_read_as` has them: the numbered ones are Celery's `priority`, up to that number."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``found`` is what `worker.store.stats` found, with the warnings of `worker.store.status`.
    ``queued`` are jobs by priority, ``queue_lengths`` the same by Celery's name of the queue. Memory is in
    bytes; ``memory_max`` 0: Redis has no bound.
    """

    found: Mapping[str, Any]
    counted: Counted
    queued: Mapping[str, int]
    queue_lengths: Mapping[str, int]
    memory_used: int
    memory_max: int


def snapshot(
    scripts: Scripts, keys: KeyNames, unread: Sequence[UnreadList] = (), samples: Samples | None = None
) -> Snapshot:
    """Read it, in six round trips.

    Args:
        unread: lists that no worker reads, of which `found` then warns as `aigc status` does. To find them
            takes a look through all keys: not for each scrape.
        samples: what is known of very long lists from the snapshots before.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    found = with_unread(stats(scripts, keys), unread)
    about = ask(scripts.client, {"counted": ("hgetall", keys.metrics), "memory": ("info", "memory")})
    groups = lists_read_as(keys.queue)
    jobs = queued_jobs(scripts.client, chain.from_iterable(groups), samples=samples)
    queued = {
        priority: sum(jobs[name] for name in group)
        for priority, group in zip(PRIORITIES, groups, strict=True)
    }
    lengths = {keys.lists[0]: queued["high"], keys.lists[-1]: queued["low"]}
    return Snapshot(
        found=found,
        counted=counted(about["counted"]),
        queued=queued,
        queue_lengths={keys.queue: sum(queued.values()) - sum(lengths.values()), **lengths},
        memory_used=int(about["memory"].get("used_memory", 0)),
        memory_max=int(about["memory"].get("maxmemory", 0)),
    )
