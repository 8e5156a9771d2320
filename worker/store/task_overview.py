"""Open tasks, the newest outputs and the newest batches, as an operator looks at them: bounded, and quick."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from tasks.batch_store.scripts import read_many
from tasks.batches.progress import Progress, progress_of, stored
from tasks.contract import OUTPUT_FIELD
from tasks.frozen import value
from tasks.output import Output
from tasks.prices import Prices
from worker.store.keys import KeyNames
from worker.store.redis_health import ask
from worker.store.scripts import Scripts
from worker.store.task_admin import ShownTask, TaskAdmin

log = logging.getLogger(__name__)


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
    found = ask(
        scripts.client,
        {
            "time": ("time",),
            "open": ("zcard", keys.open_tasks),
            "unstored": ("zcard", keys.unstored_tasks),
            "oldest": ("zrange", keys.tasks_accepted, 0, most_open - 1),
            "outputs": ("xrevrange", outputs, "+", "-", most_outputs),
        },
    )
    seconds, microseconds = found["time"]
    return TaskOverview(
        now_s=seconds + microseconds / 1_000_000,
        open=found["open"],
        oldest=tuple(TaskAdmin(scripts, keys, outputs).named(found["oldest"])),
        unstored=found["unstored"],
        outputs=tuple(_outputs(found["outputs"])),
    )


def _outputs(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> Iterator[Output]:
    for _, fields in entries:
        try:
            yield Output.from_json(fields[OUTPUT_FIELD.encode()])
        except (KeyError, ValueError) as error:  # of a later version, perhaps
            log.debug("an output was passed over: %s", error)


def batch_overview(
    scripts: Scripts, keys: KeyNames, prices: Prices, *, most: int = 50
) -> tuple[Progress, ...]:
    """Batches and how far they are, those that changed last first, give or take an hour; three round trips.

    Raises:
        redis.RedisError: Redis is away, or refuses.
    """
    client: Any = scripts.client
    names = [name.decode() for name in client.zrange(keys.batch_names, 0, most - 1, desc=True)]
    found = zip(names, read_many(client, keys.queue, names), strict=True)
    # Some may be forgotten: their names are cleared now and then.
    return tuple(
        progress_of(name, now_ms, stored(values), counts, prices)
        for name, (now_ms, values, counts) in ((name, batch) for name, batch in found if batch is not None)
    )
