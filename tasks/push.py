"""What goes to Redis at once: whole messages, and those that go only where their dedupe key is free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from . import broker
from .dedupe import Keyed, push_keyed
from .envelope import Job, encode, encode_batch
from .exceptions import InvalidPayload
from .submission import Submission, checked_job, new_id

_MESSAGES: Final = 20
_KEYED: Final = 500


class Push:
    """Jobs on their way to one list, in the order in which their producer gave them.

    Args:
        to: the list.
        jobs_per_message: of those without a dedupe key; None for a message of its own for each, as one that
            has a key gets in any case.
        batch: of those that bring none.
    """

    def __init__(self, to: str, jobs_per_message: int | None = None, batch: str | None = None) -> None:
        self.to, self._jobs_per_message = to, jobs_per_message
        self._batch = batch
        self._jobs: list[Job] = []
        self.messages: list[bytes] = []
        self.keyed: list[Keyed] = []
        self._ids: list[str] = []
        self._keyed_at: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._ids)

    @property
    def is_full(self) -> bool:
        return len(self.messages) >= _MESSAGES or len(self.keyed) >= _KEYED

    def add(self, item: Submission) -> None:
        """Raises InvalidPayload; nothing is added then."""
        job = checked_job(item, self._batch)
        if item.dedupe_key is not None:
            assert job.enqueued_ms is not None
            keyed = Keyed(item.dedupe_key, item.dedupe_ttl_s, job.id, job.enqueued_ms, encode(job, self.to))
            self._keyed_at.append(len(self._ids))
            self.keyed.append(keyed)
        elif self._jobs_per_message is None:
            self.messages.append(encode(job, self.to))
        else:
            self._jobs.append(job)
            if len(self._jobs) == self._jobs_per_message:
                # Encoded at once: a thousand jobs as objects are more than fits into a processor's cache.
                self._encode()
        self._ids.append(job.id)

    def _encode(self) -> None:
        self.messages.append(encode_batch(self._jobs, self.to, new_id()))
        self._jobs.clear()

    def close(self) -> None:
        """All of it is in `messages` and `keyed` now."""
        if self._jobs:
            self._encode()

    def to_redis(self, client: Any) -> Any:
        """Push it all, in one command that may be repeated.

        After a lost reply it is pushed again, so a message may be in the queue twice: by its id each job is
        one purchase all the same.

        Returns: what `client`, blocking or for asyncio, does: an answer for `ids`, or its awaitable.
        """
        self.close()
        if self.keyed:
            return push_keyed(client, broker.settings().queue, self.to, self.keyed, self.messages)
        return client.lpush(self.to, *self.messages)

    def ids(self, answer: Any) -> list[str]:
        """Each job's id, or that of the one that holds its key; by Redis's answer to `to_redis`."""
        ids = self._ids[:]
        for at, holder in zip(self._keyed_at, answer if self.keyed else (), strict=True):
            ids[at] = holder.decode()
        return ids


def pushes(items: Iterable[Any], to: str, jobs_per_message: int, batch: str | None = None) -> Iterator[Push]:
    """What to push, a part at a time, each once it is asked for. `batch` is that of items without one.

    Raises InvalidPayload for the first bad item, by its index, once what was before it has been given.
    """
    push = Push(to, jobs_per_message, batch)
    for index, item in enumerate(items):
        try:
            push.add(item if isinstance(item, Submission) else Submission(item))
        except InvalidPayload as error:
            if push:
                yield push
            raise InvalidPayload((f"[{index}].{path}", message) for path, message in error.errors) from None
        if push.is_full:
            yield push
            push = Push(to, jobs_per_message, batch)
    if push:
        yield push
