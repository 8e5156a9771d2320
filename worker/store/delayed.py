"""Jobs that go on later, and what else is kept for a time. They hold no thread and no worker's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from worker.store.scripts import Scripts

PAGE: Final = 200
"""Jobs that one script sees to: about a millisecond of Redis's time."""

FINISH_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class PromotionReport:
    """What a page of promotions found.

    ``more`` says that another page is due at once; ``probe_in_s`` is how long the open breaker still keeps
    everybody from probing, None where it is closed; ``stepped_back_s`` by how much Redis's clock was found to
    have stepped back, 0 mostly; ``outage_s`` how long the breaker has been open, where this worker is the one
    to tell that it lasts; ``cause`` what the last failure was while the breaker is open, empty where that is
    not known.
    """

    more: bool
    probe_in_s: float | None
    paused: bool
    stepped_back_s: float = 0.0
    outage_s: float | None = None
    cause: str = ""


def promote(scripts: Scripts) -> PromotionReport:
    """Put jobs that may go on to the front of their lists, about `PAGE` at most.

    Raises:
        redis.RedisError: Redis is away.
    """
    promoted, probe_in_ms, paused, stepped_ms, outage_ms, cause = scripts.run("promote", PAGE)
    return PromotionReport(
        more=promoted > 0,
        probe_in_s=probe_in_ms / 1000 if probe_in_ms >= 0 else None,
        paused=paused == 1,
        stepped_back_s=stepped_ms / 1000,
        outage_s=outage_ms / 1000 if outage_ms >= 0 else None,
        cause=cause.decode("utf-8", "replace"),
    )


def finish(scripts: Scripts) -> int:
    """Do for some jobs what a script had to leave because Redis refused it; how many are finished.

    Raises:
        redis.RedisError: Redis is away.
    """
    return int(scripts.run("finish", FINISH_MOST))


def prune(scripts: Scripts, keep_s: int) -> bool:
    """Clear dead letters that ended longer ago than this, about `PAGE` of each state; whether there are more.

    Raises:
        redis.RedisError: Redis is away.
    """
    return int(scripts.run("prune", keep_s, PAGE)) >= PAGE
