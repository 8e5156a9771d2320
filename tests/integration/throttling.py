"""A vendor that refuses posts, and all workers as one sender, in simulated time.

The scripts and their Redis are real; only its clock is not.
"""

from __future__ import annotations

import heapq
import itertools
from random import Random
from typing import Any, Protocol

from tests.redis_server import RedisServer
from worker.store.keys import KeyNames
from worker.store.sources import source
from worker.store.stats import current_rate

KEYS = KeyNames("aigc", "aigc:results")
START_S = 1_700_000_000.0
"""Redis's clock when the simulation begins."""

_CLOCK = "{ARGV[#ARGV - 1], ARGV[#ARGV]}"
"""The last two arguments of each call: seconds and microseconds."""

_ACCEPTED = """
redis.call('HINCRBY', keys.counters, 'posts', 1)
redis.call('XADD', KEYS[2], ARGV[1], 'result', '{}')
breaker_ok('a-worker')
"""
"""What settle.lua does of what the rate depends on."""

_AND_THE_RATE = "(function(...)\n%s\nend)(...)\nreturn redis.call('HGETALL', KEYS[3])"


class Vendor(Protocol):
    """Whether the vendor lets a post through that comes at this second."""

    def __call__(self, at: float) -> bool: ...


def at_random(share: float, seed: int = 1) -> Vendor:
    """It refuses this share, whatever the rate."""
    random = Random(seed)
    return lambda at: random.random() >= share


def in_bursts(length_s: float, every_s: float) -> Vendor:
    """It refuses all for a while, now and then."""
    return lambda at: at % every_s >= length_s


def limited(per_s: float, burst: float = 1.0) -> Vendor:
    """A token bucket."""
    level, last = burst, 0.0

    def take(at: float) -> bool:
        nonlocal level, last
        level, last = min(burst, level + (at - last) * per_s), at
        if level < 1:
            return False
        level -= 1
        return True

    return take


class Simulation:
    """Jobs without end, sent as fast as the rate and `most_per_s` allow.

    Args:
        most_per_s: what concurrency and latency allow.
        latency_s: from post to answer.
        retry_after_s: what a refusal says; 0 where it says nothing.
        limit_per_s: `AIGC_RATE_PER_S`; 0 is none.
    """

    def __init__(
        self,
        server: RedisServer,
        vendor: Vendor,
        *,
        most_per_s: float = 100.0,
        latency_s: float = 0.1,
        retry_after_s: float = 0.0,
        limit_per_s: float = 0.0,
    ) -> None:
        self._redis: Any = server.client()
        self._redis.flushall()
        self._vendor = vendor
        self._most_per_s = min(most_per_s, limit_per_s or most_per_s)
        self._latency_s = latency_s
        self._retry_after_s = retry_after_s
        self._limits = '{"interval_ms": %f}' % (1000 / limit_per_s if limit_per_s else 0)
        self._slow_down = self._script(source("slow_down"))
        self._accept = self._script(source("claim").split("local FURTHEST_SLOT_MS")[0] + _ACCEPTED)
        self._sequence = itertools.count()
        self._fields: dict[bytes, bytes] = {}
        self.let_through: list[float] = []
        self.refused: list[float] = []

    def _script(self, text: str) -> str:
        """Its SHA1; it returns what is known of the rate afterwards."""
        return str(self._redis.script_load(_AND_THE_RATE % text.replace("redis.call('TIME')", _CLOCK)))

    def run(self, seconds: float) -> None:
        """Send for so long."""
        next_post, answers = 0.0, list[tuple[float, int, bool]]()
        while next_post < seconds:
            while answers and answers[0][0] <= next_post:
                at, _, accepted = heapq.heappop(answers)
                self._answered(at, accepted)
                next_post = max(next_post, self._not_before() - START_S)
            accepted = self._vendor(next_post)
            (self.let_through if accepted else self.refused).append(next_post)
            heapq.heappush(answers, (next_post + self._latency_s, next(self._sequence), accepted))
            next_post += 1 / min(self._most_per_s, self.rate_per_s(next_post))

    def rate_per_s(self, at: float) -> float:
        """What all workers may post a second by now."""
        fields = self._fields
        if b"rate" not in fields:
            return float("inf")
        return current_rate(fields, 1000 * (START_S + at))

    def through_per_s(self, since: float, until: float) -> float:
        """Posts that were let through, a second."""
        return sum(since <= at < until for at in self.let_through) / (until - since)

    def refused_share(self, since: float, until: float) -> float:
        """Of the posts in this time."""
        refused = sum(since <= at < until for at in self.refused)
        return refused / max(1, refused + sum(since <= at < until for at in self.let_through))

    def _not_before(self) -> float:
        return float(self._fields.get(b"until", 0)) / 1000

    def _answered(self, at: float, accepted: bool) -> None:
        now = START_S + at
        if accepted:
            call: tuple[Any, ...] = (f"{int(1000 * now)}-{next(self._sequence)}",)
        else:
            call = (round(1000 * self._retry_after_s), self._limits, round(1000 * self._latency_s))
        script = self._accept if accepted else self._slow_down
        names = (KEYS.queue, KEYS.results, KEYS.adaptive_rate)
        flat = self._redis.evalsha(script, len(names), *names, *call, int(now), int(now % 1 * 1e6))
        self._fields = dict(zip(flat[::2], flat[1::2], strict=True))
