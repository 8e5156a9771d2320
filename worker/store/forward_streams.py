"""The streams of results and outputs, read as the one consumer of an endpoint's group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from redis.exceptions import ResponseError

from worker.store.forward_values import FIELDS, Entry, Order, Page, Stream, order_of

CONSUMER: Final = "forwarder"
"""One name for whoever holds the lease: what a dead forwarder had taken is the next one's at once."""

PAGE: Final = 100


class GroupLost(Exception):
    """The group is there no longer: Redis lost it, or somebody deleted it, or the stream."""


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
            first, read = self._beginning(name, positions.get(stream), start)
            try:
                self._client.xgroup_create(name, self._group, first, mkstream=True, entries_read=read)
            except ResponseError as error:
                if "BUSYGROUP" not in _words(error):
                    raise
            self._last[stream] = self._delivered(name)

    def _beginning(self, name: str, position: str | None, start: str) -> tuple[str, int | None]:
        """After which entry a new group begins, and how many of all there were lie before that."""
        try:
            about = self._client.xinfo_stream(name)
        except ResponseError as error:
            if "no such key" not in _words(error):
                raise
            return "0", 0
        newest = about["last-generated-id"].decode()
        # A stream that ends before the position is another one.
        if position is not None and order_of(newest) >= order_of(position):
            return position, None
        added = about.get("entries-added")
        if position is None and start == "$":
            return newest, added
        return "0", added and added - about["length"]

    def _delivered(self, name: str) -> str:
        for group in self._client.xinfo_groups(name):
            if group["name"] == self._group.encode():
                return str(group["last-delivered-id"].decode())
        raise GroupLost(name)

    def held(self) -> int:
        """How many entries the streams hold."""
        return sum(self._client.xlen(self._names[stream]) for stream in self._last)

    def positions(self) -> dict[Stream, str]:
        """Of each stream the last entry that was read."""
        return dict(self._last)

    def read(self, count: int = PAGE) -> Page:
        """The next entries of all streams in the order of publication; at once.

        Raises:
            GroupLost: see there.
        """
        asked = [stream for stream in self._last if not any(e.stream == stream for e in self._rest)]
        answers = self._transaction(asked, count)
        lost = 0
        horizon: Order | None = None
        for stream, (about, groups, found) in zip(asked, answers, strict=True):
            page = _entries(stream, found)
            lost += self._lost(about, groups) if page else 0
            if page:
                self._last[stream] = page[-1].entry_id
                self._rest += page
            if len(page) == count:
                # What is behind that may have been published before what the other stream has.
                horizon = min(filter(None, (horizon, page[-1].order)))
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
                _raise(answer)
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

    def forget_rest(self) -> None:
        """What was read and not handed out is found again among what is pending."""
        self._rest = []

    def pending(self, stream: Stream, after: str = "0") -> list[Entry]:
        """A page of what was taken and not acknowledged, after this entry.

        Raises:
            GroupLost: see there.
        """
        asked: Any = {self._names[stream]: after}
        try:
            found = self._client.xreadgroup(self._group, CONSUMER, asked, count=PAGE)
        except ResponseError as error:
            _raise(error)
        return _entries(stream, found)

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


def _raise(error: ResponseError) -> NoReturn:
    words = _words(error)
    if "NOGROUP" in words or "no such key" in words:
        raise GroupLost(words) from error
    raise error


def _words(error: ResponseError) -> str:
    """What Redis said: redis-py takes the first word off some errors."""
    return " ".join(filter(None, (getattr(error, "status_code", None), str(error))))
