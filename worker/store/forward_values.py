"""What Redis holds of messages on their way to an endpoint, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final, Literal, Self

from tasks.contract import OUTPUT_FIELD, RESULT_FIELD
from tasks.frozen import value
from tasks.json_text import dumps, loads

Stream = Literal["results", "outputs"]
"""Which of the two streams; their names in Redis are settings."""

FIELDS: Final[dict[Stream, str]] = {"results": RESULT_FIELD, "outputs": OUTPUT_FIELD}


@value(frozen=True, slots=True)
class Entry:
    """One entry of a stream; ``text`` is None where the stream holds it no longer."""

    stream: Stream
    entry_id: str
    text: bytes | None

    @property
    def order(self) -> Order:
        """Sorts entries as they were published."""
        return order_in_all(self.stream, self.entry_id)


@value(frozen=True, slots=True)
class Page:
    """What was read, in the order of publication; ``lost``: trimmed off before they were read."""

    entries: tuple[Entry, ...]
    lost: int = 0
    is_full: bool = False


@value(frozen=True, slots=True)
class WebhookRetry:
    """A message that is sent again. Times are ms since the epoch, by the forwarder's clock.

    ``first_ms``: of the first attempt; None where there was none since it was asked for. ``text``: its JSON,
    where the stream may not have it. ``more``: what a later version noted besides; it stays.
    """

    stream: Stream
    entry_id: str
    job: str
    attempts: int = 0
    first_ms: int | None = None
    due_ms: int = 0
    error: str = ""
    text: str | None = None
    more: Mapping[str, Any] | None = None

    @property
    def order(self) -> Order:
        """Sorts messages as they were published."""
        return order_in_all(self.stream, self.entry_id)

    @property
    def field(self) -> str:
        """Its name among others."""
        return field_of(self.stream, self.entry_id)

    def to_json(self) -> str:
        own = asdict(self)
        return dumps({**(own.pop("more") or {}), **own}).decode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> Self | None:
        """The inverse; None for a message of a stream that only a later version knows."""
        more = loads(text)
        if more["stream"] not in FIELDS:
            return None
        own = {each.name: more.pop(each.name) for each in fields(cls) if each.name in more}
        return cls(**own, more=more or None)


def field_of(stream: Stream, entry_id: str) -> str:
    """The name of an entry among those of both streams."""
    return f"{stream}:{entry_id}"


Order = tuple[int, int, int]


def order_in_all(stream: Stream, entry_id: str) -> Order:
    """Sorts entries of both streams as they were published. Their sequences say nothing of each other, so
    of one millisecond results come first: an output never goes before its job's result."""
    ms, sequence = order_of(entry_id)
    return ms, 0 if stream == "results" else 1, sequence


def order_of(entry_id: str) -> tuple[int, int]:
    """Sorts entries of one stream."""
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence or 0)


def before(entry_id: str) -> str:
    """The id just before this one."""
    ms, sequence = order_of(entry_id)
    if sequence:
        return f"{ms}-{sequence - 1}"
    return f"{ms - 1}-{2**64 - 1}" if ms else "0-0"
