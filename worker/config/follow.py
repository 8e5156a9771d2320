"""How tasks are followed from their acceptance to their end."""

from __future__ import annotations

from dataclasses import dataclass

from worker.config.environment import WorkerEnvironment


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """``query_rate_per_s``: of all workers together, in any second. ``deadline_s``: from a task's acceptance
    until it is lost."""

    query_rate_per_s: float
    deadline_s: float


def read_follow(read: WorkerEnvironment) -> FollowSettings | None:
    """How tasks are followed; None where they are not. What cannot be right is told either way."""
    settings = FollowSettings(
        query_rate_per_s=read.number("AIGC_QUERY_RATE_PER_S", 10.0),
        deadline_s=read.number("AIGC_FOLLOW_DEADLINE_S", 86400.0),
    )
    return settings if read.choice("AIGC_FOLLOW", "off", ("off", "on")) == "on" else None
