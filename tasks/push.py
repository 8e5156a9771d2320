"""What goes to Redis at once: whole messages, and those that go only where their dedupe key is free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from . import broker
from .batch_store.scripts import Entry, with_entries
from .dedupe import Keyed, Script, push_keyed
from .envelope import Job, encode, encode_batch
from .exceptions import InvalidPayload
from .submission import Submission, checked_job, new_id

_MESSAGES: Final = 20
_KEYED: Final = 500
_ENTRIES: Final = 1000

_PUSH: Final = """
redis.call('LPUSH', KEYS[1], unpack(ARGV))
return {}
"""


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
        self._entries: list[Entry] = []

    def __bool__(self) -> bool:
        return bool(self._ids)

    @property
    def is_full(self) -> bool:
        parts = ((self.messages, _MESSAGES), (self.keyed, _KEYED), (self._entries, _ENTRIES))
        return any(len(part) >= most for part, most in parts)

    def add(self, item: Submission) -> None:
        """Raises InvalidPayload; nothing is added then."""
        job = checked_job(item, self._batch)
        if item.dedupe_key is not None:
            assert job.enqueued_ms is not None
            message = encode(job, self.to)
            keyed = Keyed(
                item.dedupe_key, item.dedupe_ttl_s, job.id, job.enqueued_ms, message, item.dedupe_renew
            )
            self._keyed_at.append(len(self._ids))
            self.keyed.append(keyed)
        elif self._jobs_per_message is None:
            self.messages.append(encode(job, self.to))
        else:
            if self._jobs and self._jobs[-1].trace != job.trace:
                self._encode()  # a message says its trace once, for all of its jobs
            self._jobs.append(job)
            if len(self._jobs) == self._jobs_per_message:
                # Encoded at once: a thousand jobs as objects are more than fits into a processor's cache.
                self._encode()
        self._ids.append(job.id)
        if job.batch is not None:
            keyed_as = len(self.keyed) if item.dedupe_key is not None else 0
            self._entries.append(Entry(job.batch, job.id, str(job.payload["workflow"]), keyed_as))

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
        if not (self.keyed or self._entries):
            return client.lpush(self.to, *self.messages)
        queue = broker.settings().queue
        script = (
            push_keyed(queue, self.to, self.keyed, self.messages)
            if self.keyed
            else Script(_PUSH, [self.to], self.messages)
        )
        if self._entries:
            entries = [text for entry in self._entries for text in entry]
            args = [len(script.args), *script.args, *entries]
            script = Script(with_entries(script.text), [queue, *script.keys], args)
        return client.register_script(script.text)(keys=script.keys, args=script.args)

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
