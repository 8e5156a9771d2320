"""Nothing is taken or sent while Redis does not take how a job ended, or would not."""

from __future__ import annotations

from worker.processing.settlement_guard import REMIND_EVERY_S, TRY_EVERY_S, SettlementGuard


class Redis:
    """What Redis refuses, and how often there was trouble with it; and who is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.troubles = 0
        self.refuses: list[str] = []
        self.tried = 0
        self.told: list[str] = []
        self.reported = 0
        self.guard = SettlementGuard(lambda: self.troubles, self._try, self, lambda: self.now)

    def _try(self) -> list[str]:
        self.tried += 1
        return self.refuses

    def store_refuses(self, words: str, *, again: bool) -> None:
        self.told.append(words)
        self.reported += not again


def test_what_redis_allows_is_tried_out_once() -> None:
    """At the start, and not again as long as there is no trouble."""
    redis = Redis()
    assert [redis.guard.allows_taking() for _ in range(3)] == [True, True, True]
    assert redis.tried == 1


def test_it_is_tried_out_again_after_trouble() -> None:
    """Redis was away or has refused something: what it allows may have changed."""
    redis = Redis()
    redis.guard.allows_taking()
    redis.troubles, redis.now = 1, TRY_EVERY_S
    redis.refuses = ["XADD aigc:results: no permission"]
    assert not redis.guard.allows_taking()
    assert redis.guard.trouble() == "XADD aigc:results: no permission"
    redis.refuses = []
    assert not redis.guard.allows_taking(), "not at once again"
    redis.now += TRY_EVERY_S
    assert redis.guard.allows_taking()
    assert redis.guard.trouble() == ""


def test_the_first_refusal_closes_it_until_that_job_is_settled() -> None:
    """A self-test that passes does not open it: what was refused once may be again."""
    redis = Redis()
    redis.guard.allows_taking()
    redis.guard.refused("a-job", "Redis says no")
    assert (redis.guard.is_open, redis.guard.allows_taking()) == (False, False)
    assert redis.guard.trouble() == "1 job waits to be settled: Redis says no"
    redis.guard.settled("another")
    assert not redis.guard.is_open
    redis.guard.settled("a-job")
    assert (redis.guard.is_open, redis.guard.allows_taking()) == (True, True)
    assert redis.guard.trouble() == ""


def test_it_is_reported_once_until_it_is_mended() -> None:
    """However long it lasts and whatever else is refused; a Redis that is away is reported elsewhere."""
    redis = Redis()
    redis.guard.refused("a-job", "Redis is away", away=True)
    assert (len(redis.told), redis.reported) == (1, 0)
    for _ in range(3):
        redis.now += REMIND_EVERY_S
        redis.guard.refused("a-job", "no")
    assert (len(redis.told), redis.reported) == (4, 1)
    redis.guard.settled("a-job")
    redis.now += REMIND_EVERY_S
    redis.guard.refused("another", "no")
    assert redis.reported == 2


def test_it_is_said_once_and_now_and_then_again() -> None:
    """Each reason for itself."""
    redis = Redis()
    for _ in range(5):
        redis.guard.refused("a-job", "no")
        redis.guard.refused("another", "no, again")
    assert len(redis.told) == 2
    redis.now = REMIND_EVERY_S
    redis.guard.refused("a-job", "no")
    assert len(redis.told) == 3
