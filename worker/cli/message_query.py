"""Which messages of a stream are wanted, and reading them while Redis comes and goes."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from tasks import broker
from tasks.clients import is_away, reported
from tasks.exceptions import BrokerUnavailable
from tasks.reading.feed import Feed, M
from tasks.reading.streams import Streams

T = TypeVar("T")

PAUSE_S: Final = 1.0
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages; what is empty or None lets all pass.

    ``allowed``: by a field's name, the values that are wanted. ``since_s``: published since, in seconds
    since the epoch by Redis's clock.
    """

    allowed: Mapping[str, Collection[str]] = field(default_factory=dict)
    since_s: float | None = None

    def has(self, message: object) -> bool:
        """Whether a message that was published in time is wanted."""
        return all(not values or getattr(message, name) in values for name, values in self.allowed.items())

    @property
    def before_the_first(self) -> str:
        """The id of a stream entry after which the wanted ones come."""
        return "0" if self.since_s is None else str(max(0, int(self.since_s * 1000) - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Generic[M]):
    """What is to be read.

    ``tail``: only the last so many. ``follow``: go on with what comes. ``group``: all that this consumer
    group has not seen, whatever is wanted.
    """

    feed: Feed[M]
    wanted: MessageFilter
    tail: int | None
    follow: bool
    group: str | None
    consumer: str | None

    def messages(self) -> Iterator[M]:
        """Raises BrokerUnavailable; with ``follow`` only for what waiting cannot mend."""
        with told_once(self.feed.log):
            yield from self._of_group(self.group) if self.group else self._of_stream()

    def _of_group(self, group: str) -> Iterator[M]:
        idle_timeout_s = None if self.follow else 0.0
        streams = Streams(self.feed)
        return self._asked(lambda: streams.consume(group, self.consumer, idle_timeout_s=idle_timeout_s))

    def _of_stream(self) -> Iterator[M]:
        start, tail = self.wanted.before_the_first, self.tail
        if tail is not None:
            found, start = self._asked(lambda: last(self.feed, tail, self.wanted))
            yield from found
            if not self.follow:
                return
        replayed = self._asked(lambda: Streams(self.feed).replay(start, follow=self.follow))
        yield from (message for message in replayed if self.wanted.has(message))

    def _asked(self, ask: Callable[[], T]) -> T:
        """What Redis answers. Who follows waits for it from the beginning, not only once it was there."""
        failures = 0
        while True:
            try:
                answer = ask()
            except BrokerUnavailable as error:
                if not (self.follow and is_away(error.__cause__)):
                    raise
                self.feed.log.warning("waiting for Redis: %s", error, extra={"repeated": failures > 0})
            else:
                if failures:
                    self.feed.log.info("Redis answers again")
                return answer
            failures += 1
            time.sleep(PAUSE_S)


@contextmanager
def told_once(log: logging.Logger) -> Iterator[None]:
    """Within the block standard error is told what a reader meets; of a Redis that is away, once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("aigc: %(message)s"))
    handler.addFilter(lambda record: not getattr(record, "repeated", False))
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)


def last(feed: Feed[M], count: int, wanted: MessageFilter) -> tuple[list[M], str]:
    """The last so many messages that are wanted, oldest first; and the entry after which the next ones come.

    Raises BrokerUnavailable.
    """
    found: list[M] = []
    newest = wanted.before_the_first
    stream = feed.name(broker.settings())
    with reported(stream):
        for index, (entry_id, fields) in enumerate(backwards(stream, wanted.before_the_first)):
            if index == 0:
                newest = entry_id
            if len(found) == count:
                break
            message = _read(feed, fields)
            if message is not None and wanted.has(message):
                found.append(message)
    return found[::-1], newest


def backwards(stream: str, first: str) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    """Entries of the stream after that of this id, newest first."""
    client: Any = broker.redis_client()
    before = "+"
    while page := client.xrevrange(stream, before, f"({first}", count=_PAGE):
        for entry_id, fields in page:
            yield entry_id.decode(), fields
        before = f"({page[-1][0].decode()}"


def _read(feed: Feed[M], fields: dict[bytes, bytes]) -> M | None:
    try:
        return feed.of(fields)
    except ValueError:
        return None
