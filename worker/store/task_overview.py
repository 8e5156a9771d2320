"""Open tasks, the newest outputs and the newest batches, as an operator looks at them: bounded, and quick."""

from __future__ import annotations

from tasks.batches.progress import Progress
from tasks.frozen import value
from tasks.output import Output
from tasks.prices import Prices
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.task_admin import ShownTask


@value(frozen=True, slots=True)
class TaskOverview:
    """``now_s`` is Redis's time, in seconds since the epoch.

    ``open``: how many tasks are followed and have not ended; ``oldest`` some of them, oldest first
    (``accepted_s`` of the first says since when). ``unstored``: files that could not be kept. ``outputs``:
    as published, the newest first; a task may have two, where its file was kept later.
    """

    now_s: float
    open: int
    oldest: tuple[ShownTask, ...]
    unstored: int
    outputs: tuple[Output, ...]


def task_overview(
    scripts: Scripts, keys: KeyNames, outputs: str, *, most_open: int = 20, most_outputs: int = 50
) -> TaskOverview:
    """What is known of tasks, in two round trips.

    Args:
        outputs: the name of the outputs' stream.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    raise NotImplementedError


def batch_overview(
    scripts: Scripts, keys: KeyNames, prices: Prices, *, most: int = 50
) -> tuple[Progress, ...]:
    """Batches and how far they are, those that changed last first; one round trip and one script a batch.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    raise NotImplementedError
