"""Lists that hold jobs and that no worker reads: their producer has another separator, prefix or queue name.

Found by names that producers are known to make of ours, and by a look through the keys for so long as there
is time: a queue's records may be millions.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import redis

from tasks.contract import BATCH_TASK_NAME, TASK_NAME
from worker.domain.message import Malformed, parse
from worker.store.keys import KeyNames

_CELERYS_DEFAULT: Final = "celery"
_SEPARATORS: Final = ("", ":", ".", "-", "_", "/", "|", "#", "@", " ", "\x06", "\x16")
_STEPS: Final = range(10)
_SCAN_COUNT: Final = 2000
_MOST: Final = 100
"""Lists to look into: of more, the first ones are told."""


@dataclass(frozen=True, slots=True)
class UnreadList:
    """A list, its messages, and what is known of why nobody reads it."""

    name: str
    messages: int
    why: str

    def in_words(self, queue: str) -> str:
        """A warning with its remedy."""
        name = shown(self.name)
        return (
            f"the list {name} holds {self.messages} message(s) of ours that no worker reads: {self.why};"
            f" mend the producer, and move each message: LMOVE {name} {queue} RIGHT LEFT"
        )


def find(client: Any, keys: KeyNames, seconds: float) -> tuple[list[UnreadList], bool]:
    """Such lists, and whether all keys were looked at in the time that there was.

    Raises:
        redis.RedisError: Redis is away.
    """
    names, complete = _near(client, keys.queue, seconds)
    candidates = sorted(
        name for name in {*names, *_guesses(keys.queue)} - {keys.results} if not keys.has(name)
    )
    found = []
    for name, messages in _with_our_jobs(client, candidates):
        if not _is_another_queues(client, name, keys.queue):
            found.append(UnreadList(name, messages, _why(name, keys.queue)))
    return found, complete


def shown(name: str) -> str:
    """A name as it can be typed into redis-cli: in quotes where it needs them."""
    plain = name.isascii() and name.isprintable() and not set(name) & set(" \"'\\")
    if plain:
        return name
    escaped = "".join(char if char.isprintable() and char not in '"\\' else _escape(char) for char in name)
    return f'"{escaped}"'


def _escape(char: str) -> str:
    return f"\\{char}" if char in '"\\' else "".join(f"\\x{byte:02x}" for byte in char.encode())


def _guesses(queue: str) -> Iterable[str]:
    """What a producer's queue may be called whose settings differ from ours in what is known to be set."""
    numbered = (f"{queue}{separator}{step}" for separator in _SEPARATORS for step in _STEPS)
    return chain(numbered, [_CELERYS_DEFAULT])


def _near(client: Any, queue: str, seconds: float) -> tuple[list[str], bool]:
    """Lists in whose names the queue's name is, and whether that are all."""
    until, cursor, names = time.monotonic() + seconds, 0, set[str]()
    pattern = "*" + "".join(f"\\{char}" if char in "*?[]\\^-" else char for char in queue) + "*"
    try:
        while True:
            cursor, page = client.scan(cursor, match=pattern, count=_SCAN_COUNT, _type="list")
            names.update(name.decode("utf-8", "surrogateescape") for name in page)
            if not cursor or time.monotonic() > until:
                return sorted(names), not cursor
    except redis.ResponseError:
        return sorted(names), False  # without the right to


def _with_our_jobs(client: Any, names: Sequence[str]) -> list[tuple[str, int]]:
    """Those of the names that are lists with a job of ours at one of its ends, and their lengths."""
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            raw = name.encode("utf-8", "surrogateescape")
            pipe.llen(raw)
            pipe.lrange(raw, 0, 0)
            pipe.lrange(raw, -1, -1)
        answers = pipe.execute(raise_on_error=False)  # one that is no list, or that there is no right to
    groups = zip(names, answers[::3], answers[1::3], answers[2::3], strict=True)
    return [
        (name, length)
        for name, length, first, last in groups
        if not any(isinstance(each, Exception) for each in (length, first, last))
        and any(map(_is_ours, (*first, *last)))
    ][:_MOST]


def _is_ours(raw: bytes) -> bool:
    try:
        parse(raw, "")
    except Malformed:
        # In a form that workers do not read; but its producer meant us.
        return any(name.encode() in raw for name in (TASK_NAME, BATCH_TASK_NAME))
    return True


def _is_another_queues(client: Any, name: str, queue: str) -> bool:
    """Whether the list may be one of another queue of ours, that workers of its own read, or have read."""
    ends = [at for at, char in enumerate(name) if char in ":.\x06"]
    others = [KeyNames(name[:at], "") for at in (*ends, len(name)) if at and name[:at] != queue]
    return (
        bool(others) and client.exists(*(key for each in others for key in (each.workers, each.counters))) > 0
    )


def _why(name: str, queue: str) -> str:
    if name == _CELERYS_DEFAULT:
        return f"its producer names no queue, where queue={queue!r} must be given"
    if name.startswith(queue) and name[-1:].isdigit():
        return "its producer sets another `sep` for priorities in its broker_transport_options"
    prefix, elsewhere = name.partition(queue)[0], f"sends to another queue than AIGC_QUEUE={queue}"
    if prefix:
        return f"its producer sets global_keyprefix={prefix!r}, or {elsewhere}"
    return f"its producer {elsewhere}"
