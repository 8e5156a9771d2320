"""How tasks are followed from their acceptance to their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from worker.config.environment import WorkerEnvironment

SLOWEST_PER_S: Final = 0.001
FASTEST_PER_S: Final = 10_000.0
LONGEST_DEADLINE_S: Final = 10 * 365 * 86_400.0
"""Beyond these, times in Redis would be no times any more."""


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """``query_rate_per_s``: of all workers together, in any second. ``deadline_s``: from a task's acceptance
    until it is lost."""

    query_rate_per_s: float
    deadline_s: float


def read_deadline(read: WorkerEnvironment) -> float | None:
    """The seconds for which a task is followed; None where the environment does not say."""
    return read.number("AIGC_FOLLOW_DEADLINE_S", None, low=1.0, high=LONGEST_DEADLINE_S)


def read_follow(read: WorkerEnvironment) -> FollowSettings | None:
    """How tasks are followed; None where they are not. What cannot be right is told either way."""
    settings = FollowSettings(
        query_rate_per_s=read.number("AIGC_QUERY_RATE_PER_S", 10.0, low=SLOWEST_PER_S, high=FASTEST_PER_S),
        deadline_s=read_deadline(read) or 86400.0,
    )
    return settings if read.choice("AIGC_FOLLOW", "off", ("off", "on")) == "on" else None
