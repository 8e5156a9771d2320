"""How much of a vendor that refuses posts is used, and how many posts it has to refuse: in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.integration.throttling import Simulation, Vendor, at_random, in_bursts, limited
from tests.redis_server import RedisServer

MOST_PER_S = 100.0
SECONDS = 40.0
Case = tuple[Callable[[], Vendor], float]

REFUSES_A_SHARE: dict[str, Case] = {
    "3%": (lambda: at_random(0.03), 97),
    "10%": (lambda: at_random(0.1), 90),
    "50%": (lambda: at_random(0.5), 50),
    "0.1 s of 3.3 s": (lambda: in_bursts(0.1, 3.3), 97),
    "1 s of 10 s": (lambda: in_bursts(1, 10), 90),
}
LIMITS: dict[str, Case] = {
    "50/s": (lambda: limited(50, 2), 50),
    "10/s": (lambda: limited(10, 2), 10),
    "10/s, 10 s saved": (lambda: limited(10, 100), 10),
    "33/s, 1 s saved": (lambda: limited(33, 33), 33),
}


@pytest.mark.parametrize("retry_after_s", [0, 1, 10])
@pytest.mark.parametrize("case", REFUSES_A_SHARE)
def test_a_vendor_that_refuses_a_share_whatever_the_rate_is_used(
    redis_server: RedisServer, case: str, retry_after_s: float
) -> None:
    """At about what it lets through, once that is known and a Retry-After of the start is over."""
    vendor, lets_through = REFUSES_A_SHARE[case]
    simulation = Simulation(redis_server, vendor(), most_per_s=MOST_PER_S, retry_after_s=retry_after_s)
    simulation.run(SECONDS)
    begins = 15 + retry_after_s
    assert simulation.through_per_s(begins, SECONDS) >= 0.85 * lets_through


@pytest.mark.parametrize("retry_after_s", [0, 2])
@pytest.mark.parametrize("case", LIMITS)
def test_a_vendor_with_a_limit_is_used_and_left_in_peace(
    redis_server: RedisServer, case: str, retry_after_s: float
) -> None:
    """Nearly all that it allows is used; once the limit is known, at most one post in six is refused."""
    vendor, limit = LIMITS[case]
    simulation = Simulation(redis_server, vendor(), most_per_s=MOST_PER_S, retry_after_s=retry_after_s)
    simulation.run(SECONDS)
    assert simulation.through_per_s(10, SECONDS) >= 0.9 * limit
    assert simulation.refused_share(10, SECONDS) <= 1 / 6


def test_a_vendor_that_refuses_all_is_hardly_asked(redis_server: RedisServer) -> None:
    """For half a minute an eighth of the rate, in case it is soon over; then next to nothing."""
    simulation = Simulation(redis_server, lambda at: at < 5, most_per_s=MOST_PER_S)
    simulation.run(60)
    refused = simulation.refused
    assert sum(8 <= at < 30 for at in refused) / 22 <= 1.1 * MOST_PER_S / 8
    assert sum(at >= 50 for at in refused) <= 20


@pytest.mark.parametrize("retry_after_s", [0, 1])
def test_a_vendor_that_refuses_all_half_of_the_time_is_used_in_the_other_half(
    redis_server: RedisServer, retry_after_s: float
) -> None:
    """Five seconds each: the rate is back where it was soon enough."""
    simulation = Simulation(
        redis_server, in_bursts(5, 10), most_per_s=MOST_PER_S, retry_after_s=retry_after_s
    )
    simulation.run(60)
    assert simulation.through_per_s(10, 60) >= 0.5 * MOST_PER_S / 2


def test_a_retry_after_of_a_vendor_that_refuses_all_is_obeyed(redis_server: RedisServer) -> None:
    """Within a second of the last post that it let through nothing is posted for as long as it says."""
    simulation = Simulation(
        redis_server, lambda at: not 5 <= at < 16, most_per_s=MOST_PER_S, retry_after_s=10
    )
    simulation.run(SECONDS)
    assert not any(6.5 <= at < 15.5 for at in simulation.refused + simulation.let_through)
    assert simulation.through_per_s(30, SECONDS) >= 0.9 * MOST_PER_S


def test_a_learned_rate_stays_within_the_configured_one(redis_server: RedisServer) -> None:
    """3% of refusals at `AIGC_RATE_PER_S=20`: it is used, and never passed."""
    simulation = Simulation(redis_server, at_random(0.03), most_per_s=MOST_PER_S, limit_per_s=20)
    simulation.run(SECONDS)
    posts = sorted(simulation.let_through + simulation.refused)
    assert all(later - earlier > 0.0499 for earlier, later in pairwise(posts))
    assert simulation.through_per_s(5, SECONDS) >= 0.9 * 0.97 * 20
