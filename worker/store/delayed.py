"""The waiting set and the sidings: jobs that go on later. They hold no thread and no worker's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from worker.store.scripts import Scripts

MOVE_MOST: Final = 200
"""Jobs moved by one script: about a millisecond of Redis's time."""


FINISH_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class PromotionReport:
    """What a round of moving found.

    ``more`` says that another round is due at once; ``brake_s`` is how long the brake still keeps everybody
    from probing, None where it is not on; ``stepped_back_s`` by how much Redis's clock was found to have
    stepped back, 0 mostly.
    """

    more: bool
    brake_s: float | None
    paused: bool
    stepped_back_s: float = 0.0


def move_due(scripts: Scripts) -> PromotionReport:
    """Put jobs that may go on to the front of their lists, about `MOVE_MOST` at most.

    Raises:
        redis.RedisError: Redis is away.
    """
    moved, brake_ms, paused, stepped_ms = scripts.run("move", MOVE_MOST)
    brake_s = brake_ms / 1000 if brake_ms >= 0 else None
    return PromotionReport(moved > 0, brake_s, paused == 1, stepped_ms / 1000)


def finish(scripts: Scripts) -> int:
    """Do for some jobs what a script had to leave because Redis refused it; how many are finished.

    Raises:
        redis.RedisError: Redis is away.
    """
    return int(scripts.run("finish", FINISH_MOST))


def prune(scripts: Scripts, keep_s: int) -> bool:
    """Clear the shelves of what ended badly longer ago than this, about `MOVE_MOST`; whether there is more.

    Raises:
        redis.RedisError: Redis is away.
    """
    return int(scripts.run("prune", keep_s, MOVE_MOST)) >= MOVE_MOST
