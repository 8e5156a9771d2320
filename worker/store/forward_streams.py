"""The streams of results and outputs, read as the one consumer of an endpoint's group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from redis.exceptions import ResponseError

from worker.store.forward_group import last_delivered, make, raise_lost
from worker.store.forward_values import FIELDS, Entry, Order, Page, Stream, before, order_in_all, order_of

CONSUMER: Final = "forwarder"
"""One name for whoever holds the lease: what a dead forwarder had taken is the next one's at once."""

PAGE: Final = 100


class ForwardStreams:
    """One group on one or both streams. For one thread. Its methods raise `redis.RedisError`.

    Args:
        client: of raw bytes.
        names: of the streams in Redis.
        group: the group's name.
        read: which of the streams are read; the other may be asked for single entries.
    """

    def __init__(
        self, client: Any, names: Mapping[Stream, str], group: str, read: tuple[Stream, ...]
    ) -> None:
        self._client = client
        self._names = dict(names)
        self._group = group
        self._last: dict[Stream, str] = dict.fromkeys(read, "$")
        self._rest: list[Entry] = []

    def open(self, positions: Mapping[Stream, str], start: str) -> None:
        """Make the group where it is not there.

        Args:
            positions: after which entries it goes on, where it was there before.
            start: where it begins otherwise: "0" or "$".
        """
        self._rest = []
        for stream in self._last:
            name = self._names[stream]
            make(self._client, name, self._group, positions.get(stream), start)
            self._last[stream] = last_delivered(self._client, name, self._group)

    def held(self) -> int:
        """How many entries the streams hold."""
        return sum(self._client.xlen(self._names[stream]) for stream in self._last)

    def positions(self) -> dict[Stream, str]:
        """Of each stream the last entry before which all were handed out."""
        found = dict(self._last)
        for entry in reversed(self._rest):
            found[entry.stream] = before(entry.entry_id)
        return found

    def recover(self, is_known: Callable[[Stream, str], bool]) -> None:
        """Take up what was taken and not acknowledged, but for what is known; `read` hands it out.

        With what is new, for that may have been published before it: where a page of results was full, the
        outputs that were read with it wait for the next one.

        Raises:
            GroupLost: see there.
        """
        self._rest = []
        for stream in self._last:
            self._last[stream] = last_delivered(self._client, self._names[stream], self._group)
            after = "0"
            while page := self._pending(stream, after):
                after = page[-1].entry_id
                self._rest += [entry for entry in page if not is_known(stream, entry.entry_id)]
        self._rest.sort(key=lambda entry: entry.order)

    def _pending(self, stream: Stream, after: str) -> list[Entry]:
        asked: Any = {self._names[stream]: after}
        try:
            found = self._client.xreadgroup(self._group, CONSUMER, asked, count=PAGE)
        except ResponseError as error:
            raise_lost(error)
        return _entries(stream, found)

    def read(self, count: int = PAGE) -> Page:
        """The next entries of all streams in the order of publication; at once.

        Raises:
            GroupLost: see there.
        """
        held = [entry.stream for entry in self._rest]
        asked = [stream for stream in self._last if held.count(stream) < count]
        behind = [stream for stream in self._last if stream not in asked]
        lost = 0
        for stream, (about, groups, found) in zip(asked, self._transaction(asked, count), strict=True):
            page = _entries(stream, found)
            if page:
                lost += self._lost(about, groups)
                self._last[stream] = page[-1].entry_id
                self._rest += page
            if len(page) == count:
                behind.append(stream)
        # What a stream has beyond that may have been published before what the other one has.
        horizon = min((order_in_all(stream, self._last[stream]) for stream in behind), default=None)
        return self._up_to(horizon, lost)

    def _transaction(self, asked: list[Stream], count: int) -> list[tuple[Any, Any, Any]]:
        # In one piece: reading a page makes Redis forget how many entries were trimmed off before it.
        with self._client.pipeline(transaction=True) as calls:
            for stream in asked:
                name = self._names[stream]
                calls.xinfo_stream(name)
                calls.xinfo_groups(name)
                calls.xreadgroup(self._group, CONSUMER, {name: ">"}, count=count)
            answers = calls.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise_lost(answer)
            if isinstance(answer, Exception):
                raise answer
        return list(zip(answers[::3], answers[1::3], answers[2::3], strict=True))

    def _up_to(self, horizon: Order | None, lost: int) -> Page:
        self._rest.sort(key=lambda entry: entry.order)
        ready = [entry for entry in self._rest if horizon is None or entry.order <= horizon]
        self._rest = self._rest[len(ready) :]
        return Page(tuple(ready), lost, is_full=horizon is not None)

    def _lost(self, about: dict[str, Any], groups: list[dict[str, Any]]) -> int:
        """How many entries were trimmed off that the group had not read."""
        group = next(each for each in groups if each["name"] == self._group.encode())
        first, read = about["first-entry"], group["entries-read"]
        if first is None or read is None or about.get("entries-added") is None:
            return 0
        if order_of(first[0].decode()) <= order_of(group["last-delivered-id"].decode()):
            return 0
        return max(0, int(about["entries-added"]) - int(about["length"]) - int(read))

    def text(self, stream: Stream, entry_id: str) -> bytes | None:
        """The message of one entry; None where the stream holds it no longer."""
        found = self.range(stream, entry_id, entry_id, 1)
        return found[0].text if found else None

    def range(self, stream: Stream, first: str, last: str, count: int) -> list[Entry]:
        """Entries from the first to the last of these ids, as Redis takes them."""
        return [
            _entry(stream, *each) for each in self._client.xrange(self._names[stream], first, last, count)
        ]

    def wait(self, block_ms: int) -> None:
        """Wait until there may be news, at most for so long."""
        if not self._rest:
            self._client.xread(
                {self._names[s]: last for s, last in self._last.items()}, count=1, block=block_ms
            )


def _entries(stream: Stream, reply: Any) -> list[Entry]:
    return [_entry(stream, *each) for each in reply[0][1]] if reply else []


def _entry(stream: Stream, entry_id: bytes, fields: Mapping[bytes, bytes] | None) -> Entry:
    text = fields.get(FIELDS[stream].encode(), b"") if fields else None
    return Entry(stream, entry_id.decode(), text)
