"""What Redis keeps of the endpoints that are forwarded to: state, retries, dead letters, replays."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from worker.store.forward_values import FIELDS, Stream, WebhookRetry
from worker.store.keys import KeyNames

log = logging.getLogger(__name__)

DEAD_LETTERS: Final = "failed"
"""In the place of a stream's name: a replay of what was given up."""

FAILED_KEPT: Final = 100_000
_PAGE: Final = 1000


def group_of(name: str) -> str:
    """The consumer group of an endpoint."""
    return f"forward:{name}"


@dataclass(slots=True)
class Changes:
    """What is to be written in one transaction. To write it once more harms nothing but the counts.

    ``done``: finished entries; ``retries``: what is to be sent again; ``failed``: dead letters, as JSON;
    ``counts``: by how much counters grow; ``state``: what else of the state changes, None to delete it.
    """

    done: list[tuple[Stream, str]] = field(default_factory=list)
    finished_retries: list[str] = field(default_factory=list)
    retries: list[WebhookRetry] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    state: dict[str, str | None] = field(default_factory=dict)

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + by

    def __bool__(self) -> bool:
        parts = (self.done, self.finished_retries, self.retries, self.failed, self.counts, self.state)
        return any(parts)


class ForwardState:
    """Of one endpoint. Thread-safe. Its methods raise `redis.RedisError`.

    Args:
        client: of raw bytes.
        keys: of the queue.
        name: the endpoint's.
        names: of the streams in Redis.
    """

    def __init__(self, client: Any, keys: KeyNames, name: str, names: Mapping[Stream, str]) -> None:
        self._client = client
        self._names = names
        self._group = group_of(name)
        self._name, self._known = name, keys.forwards
        self._state = keys.forward_state(name)
        self._retries = keys.forward_retries(name)
        self._failed = keys.forward_failed(name)
        self._replays = keys.forward_replays(name)
        self._lease = keys.forward_lease(name)

    def register(self, about: Mapping[str, Any]) -> None:
        """Have it among those that are known, with what there is to say of it."""
        self._client.hset(self._known, self._name, json.dumps(about))

    def load(self) -> dict[str, str]:
        """Its state; empty where there is none yet."""
        found = self._client.hgetall(self._state).items()
        return {name.decode(): text.decode() for name, text in found}

    def clear(self, name: str) -> None:
        """Forget one field of its state."""
        self._client.hdel(self._state, name)

    def retries(self) -> list[WebhookRetry]:
        """All that is to be sent again, but for what only a later version can send."""
        read = [WebhookRetry.from_json(text) for text in self._client.hvals(self._retries)]
        known = [retry for retry in read if retry is not None]
        if len(known) < len(read):
            count = len(read) - len(known)
            log.warning("%d webhooks that only a newer version can send are left to it", count)
        return known

    def write(self, changes: Changes) -> None:
        """Write all of it, or nothing."""
        with self._client.pipeline(transaction=True) as calls:
            for stream, entry_id in changes.done:
                calls.xack(self._names[stream], self._group, entry_id)
            for name in changes.finished_retries:
                calls.hdel(self._retries, name)
            for retry in changes.retries:
                calls.hset(self._retries, retry.field, retry.to_json())
            for text in changes.failed:
                calls.xadd(self._failed, {"failed": text}, maxlen=FAILED_KEPT, approximate=True)
            for name, by in changes.counts.items():
                calls.hincrby(self._state, name, by)
            for name, value in changes.state.items():
                calls.hdel(self._state, name) if value is None else calls.hset(self._state, name, value)
            calls.execute()

    def failed(self, first: str = "-", last: str = "+") -> Iterator[tuple[str, dict[str, Any]]]:
        """The dead letters and the ids of their entries, oldest first."""
        while page := self._client.xrange(self._failed, first, last, count=_PAGE):
            for entry_id, fields in page:
                yield entry_id.decode(), json.loads(fields[b"failed"])
            first = f"({page[-1][0].decode()}"

    def forgive(self, entry_id: str, retry: WebhookRetry) -> None:
        """Make a dead letter a message that is to be sent."""
        with self._client.pipeline(transaction=True) as calls:
            calls.hset(self._retries, retry.field, retry.to_json())
            calls.xdel(self._failed, entry_id)
            calls.execute()

    def ask_replay(self, replay: Mapping[str, str]) -> None:
        """Ask the forwarder for a replay; it takes one after another."""
        self._client.rpush(self._replays, json.dumps(replay))

    def replay(self) -> tuple[int, dict[str, str]] | None:
        """The one that it is at, and its place; those that only a later version knows are left to it."""
        for place, text in enumerate(self._client.lrange(self._replays, 0, -1)):
            found: dict[str, str] = json.loads(text)
            if found["stream"] in (*FIELDS, DEAD_LETTERS):
                return place, found
        return None

    def replay_taken(self, place: int, retries: list[WebhookRetry], rest: Mapping[str, str] | None) -> None:
        """Have these messages sent, and go on with the rest of the replay; None where there is none."""
        # No other process takes any, and new ones come at the end: what is left to a newer one is before it.
        left = self._client.lrange(self._replays, 0, place - 1) if place else []
        with self._client.pipeline(transaction=True) as calls:
            for retry in retries:
                calls.hset(self._retries, retry.field, retry.to_json())
            if rest is None:
                for number, text in enumerate(left, 1):
                    calls.lset(self._replays, number, text)
                calls.lpop(self._replays)
            else:
                calls.lset(self._replays, place, json.dumps(rest))
            calls.execute()

    def forget(self) -> None:
        """Delete all that there is of it, its group as well."""
        for name in self._names.values():
            if self._client.exists(name):
                self._client.xgroup_destroy(name, self._group)
        own = (self._state, self._retries, self._failed, self._replays, self._lease)
        self._client.unlink(*own)
        self._client.hdel(self._known, self._name)
