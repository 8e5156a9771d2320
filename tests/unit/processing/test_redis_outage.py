"""An outage of Redis is told once, when it lasts."""

from __future__ import annotations

from worker.processing.redis_outage import LASTS_S, RedisOutage


class Told:
    """An outage, its clock, and what was told of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seconds: list[float] = []
        self.outage = RedisOutage(self, lambda: self.now)

    def redis_away(self, words: str, seconds: float) -> None:
        assert words
        self.seconds.append(seconds)

    def fails_at(self, now: float, asker: str = "heartbeats") -> None:
        self.now = now
        self.outage.failed(asker, "no answer")


def test_it_is_told_once_when_it_lasts() -> None:
    """Not at its beginning, and not again."""
    told = Told()
    for now in (0.0, LASTS_S - 1, LASTS_S, LASTS_S + 1, 10 * LASTS_S):
        told.fails_at(now)
    assert told.seconds == [LASTS_S]


def test_a_short_one_is_not_told() -> None:
    """Each begins anew."""
    told = Told()
    for now in (0.0, LASTS_S, 2 * LASTS_S):
        told.fails_at(now)
        told.outage.answered("heartbeats")
    assert told.seconds == []


def test_whoever_asks_it_is_one_outage() -> None:
    """It ends once Redis has answered all whom it had failed, and the next one is told again."""
    told = Told()
    told.fails_at(0.0, "heartbeats")
    told.fails_at(LASTS_S, "taking messages")
    told.outage.answered("heartbeats")
    told.fails_at(3 * LASTS_S, "taking messages")
    assert told.seconds == [LASTS_S]
    told.outage.answered("taking messages")
    told.fails_at(4 * LASTS_S)
    told.fails_at(5 * LASTS_S)
    assert told.seconds == [LASTS_S, LASTS_S]


def test_where_another_process_tells_it_is_silent() -> None:
    """A process of a pool."""
    outage = RedisOutage(None, iter((0.0, LASTS_S)).__next__)
    outage.failed("heartbeats", "no answer")
    outage.failed("heartbeats", "no answer")
