"""The totals of a queue once a minute for a day, in Redis: what rates are made of.

One list, `<queue>:history`, of at most `MOST` samples. Some worker, whichever comes first, adds one when the
last is `DUE_S` old; each is what a scrape of the metrics says at that moment. Redis's clock alone counts.
"""

from __future__ import annotations

from tasks.frozen import value
from worker.store.history_values import Sample
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts

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
    raise NotImplementedError


def take(scripts: Scripts, keys: KeyNames) -> bool:
    """Add a sample if one is due; whether this call did. One round trip where none is.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    raise NotImplementedError
