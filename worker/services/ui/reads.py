"""What the page shows, out of Redis: what many look at is looked for once a second at most."""

from __future__ import annotations

from typing import Any, Final

from tasks.batches.progress import Progress
from tasks.contract import Status
from tasks.frozen import value
from tasks.prices import Prices
from worker.services.ui.looks import LateLook, Look
from worker.store import dead_letter_page, history
from worker.store.dead_letter_page import DeadLetterPage
from worker.store.dead_letters import DeadLetterFilter, DeadLetters
from worker.store.history import History
from worker.store.job_details import job_details
from worker.store.keys import KeyNames
from worker.store.metrics import Snapshot, snapshot
from worker.store.queued_jobs import Samples
from worker.store.scripts import Scripts
from worker.store.status import LOOK_S
from worker.store.task_overview import TaskOverview, batch_overview, task_overview
from worker.store.unread_lists import UnreadList, find

LETTERS: Final = 50
"""Dead letters on a page."""

_UNREAD_EVERY_S: Final = 60.0


@value(frozen=True, slots=True)
class Overview:
    """``found`` is what `aigc status` has of the queue and its workers."""

    found: dict[str, Any]
    snapshot: Snapshot
    history: History
    counts: dict[Status, int]
    tasks: TaskOverview
    batches: tuple[Progress, ...]


class Reads:
    """Of one queue. Every method raises `redis.RedisError` where Redis is away, or refuses.

    Args:
        outputs: the name of the outputs' stream.
    """

    def __init__(
        self, scripts: Scripts, keys: KeyNames, outputs: str, dead_letters: DeadLetters, prices: Prices
    ) -> None:
        self._scripts, self._keys = scripts, keys
        self._dead_letters = dead_letters
        nothing: list[UnreadList] = []
        unread = LateLook(lambda: find(scripts.client, keys, LOOK_S)[0], nothing, _UNREAD_EVERY_S)
        samples = Samples()
        self._snapshot = Look(lambda: snapshot(scripts, keys, unread.get(), samples))
        self._history = Look(lambda: history.read(scripts, keys))
        self._counts = Look(lambda: dead_letter_page.counts(scripts, keys))
        self._tasks = Look(lambda: task_overview(scripts, keys, outputs, most_open=10, most_outputs=24))
        self._batches = Look(lambda: batch_overview(scripts, keys, prices, most=20))

    def overview(self) -> Overview:
        """All that does not depend on who asks; at most a second old."""
        now = self._snapshot.get()
        return Overview(
            dict(now.found), now, self._history.get(),
            self._counts.get(), self._tasks.get(), self._batches.get(),
        )  # fmt: skip

    def letters(self, wanted: DeadLetterFilter, cursor: str | None) -> DeadLetterPage:
        """A page of dead letters; raises `BadCursor` too."""
        return dead_letter_page.page(self._scripts, self._keys, wanted, cursor, LETTERS)

    def details(self, job: str, payload: bool) -> dict[str, Any] | None:
        """All that is known of a job; None where that is nothing."""
        return job_details(self._dead_letters, job, payload=payload)
