"""What was taken of the streams and is not finished: which message goes next, each job's in order. Pure.

It holds ids and times, and the texts of those only that are about to be sent: a day's failures of an endpoint
are thousands.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import replace
from heapq import heappop, heappush

from worker.services.forward.webhook import Webhook
from worker.store.forward_values import Order, Stream, WebhookRetry, field_of, order_of


class Item:
    """A message that is not finished.

    Args:
        retry: what is known of it. Where ``is_kept`` Redis has that too.
        webhook: what is to be sent; None where it has to be read first.
    """

    __slots__ = ("is_kept", "key", "order", "retry", "webhook")

    def __init__(self, retry: WebhookRetry, webhook: Webhook | None = None, *, is_kept: bool = False) -> None:
        self.retry = retry
        self.webhook = webhook
        self.is_kept = is_kept
        self.key = retry.field
        self.order = retry.order


class Backlog:
    """All messages that are not finished; of one thread. The oldest of each job is the one that may go."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._of_job: dict[str, list[Item]] = {}
        self._due: list[tuple[int, Order, str]] = []
        self._busy: set[str] = set()
        """Jobs of which a message is in flight: one that is older may come meanwhile, by a replay."""

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> bool:
        """Take it in; False where it is here already."""
        if item.key in self._items:
            return False
        self._items[item.key] = item
        waiting = self._of_job.setdefault(item.retry.job, [])
        insort(waiting, item, key=lambda each: each.order)
        if waiting[0] is not item:
            item.webhook = None  # it may wait for a day: it is read again then
        self._push(item.retry.job)
        return True

    def take(self, now_ms: int) -> Item | None:
        """The next one that is due; it is in flight from now on."""
        while self._due and self._due[0][0] <= now_ms:
            if (item := self._valid(heappop(self._due))) is not None:
                return self._taken(item)
        return None

    def take_probe(self, *, untried_only: bool) -> Item | None:
        """One to try an endpoint with that takes nothing, whenever it is due: an untried one if there is one.

        It must not be for ever the same one, which the endpoint may refuse for its own sake.
        """
        heads = [waiting[0] for job, waiting in self._of_job.items() if job not in self._busy]
        untried = [item for item in heads if item.retry.first_ms is None]
        if untried:
            return self._taken(min(untried, key=lambda item: item.order))
        if untried_only or not heads:
            return None
        return self._taken(min(heads, key=lambda item: (item.retry.due_ms, item.order)))

    def next_due_ms(self) -> int | None:
        """When the next one is due; None where none waits."""
        while self._due and self._valid(self._due[0]) is None:
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def put_back(self, item: Item, retry: WebhookRetry) -> None:
        """It was not taken, and is sent again when that says."""
        item.retry, item.webhook = retry, None
        self._busy.discard(retry.job)
        self._push(retry.job)

    def remove(self, item: Item) -> None:
        """It is finished, one way or the other; the next one of its job may go."""
        del self._items[item.key]
        self._busy.discard(item.retry.job)
        waiting = self._of_job[item.retry.job]
        waiting.remove(item)
        if waiting:
            self._push(item.retry.job)
        else:
            del self._of_job[item.retry.job]

    def release(self, now_ms: int) -> None:
        """The endpoint takes messages again: what waits is due."""
        for job, waiting in self._of_job.items():
            head = waiting[0]
            if head.retry.due_ms > now_ms and job not in self._busy:
                head.retry = replace(head.retry, due_ms=now_ms)
                self._push(job)

    def oldest_untried(self, stream: Stream) -> str | None:
        """The id of the first entry of a stream of which Redis knows no more than that it was taken."""
        ids: Iterable[str] = (
            item.retry.entry_id
            for item in self._items.values()
            if item.retry.stream == stream and not item.is_kept
        )
        return min(ids, key=order_of, default=None)

    def has(self, stream: Stream, entry_id: str) -> bool:
        """Whether an entry is here."""
        return field_of(stream, entry_id) in self._items

    def _push(self, job: str) -> None:
        if job not in self._busy:
            head = self._of_job[job][0]
            heappush(self._due, (head.retry.due_ms, head.order, head.key))

    def _valid(self, entry: tuple[int, Order, str]) -> Item | None:
        """The item of an entry of the heap, unless it has gone, or something else is to be waited for."""
        due_ms, _, key = entry
        item = self._items.get(key)
        if item is None or item.retry.due_ms != due_ms:
            return None
        job = item.retry.job
        return item if self._of_job[job][0] is item and job not in self._busy else None

    def _taken(self, item: Item) -> Item:
        self._busy.add(item.retry.job)
        return item
