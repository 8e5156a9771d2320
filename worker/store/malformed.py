"""Messages that no worker could read: put aside, until an operator queues them again or discards them."""

from __future__ import annotations

import binascii
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import WatchError

from tasks.contract import ENQUEUED_AT_HEADER
from tasks.json_text import dumps, loads
from worker.domain.message import Malformed, parse
from worker.store.audit import KEPT, decision
from worker.store.keys import KeyNames

_PAGE: Final = 200
_TRIES: Final = 100


@dataclass(frozen=True, slots=True)
class MalformedMessage:
    """A message as it was put aside: ``about`` says when and why; ``raw`` is as it came."""

    about: dict[str, str]
    raw: bytes
    entry: bytes

    @property
    def name(self) -> str:
        """What it goes by: nothing in it can be relied on, so a digest of all."""
        return hashlib.sha256(self.entry).hexdigest()[:12]


class MalformedMessages:
    """Those of one queue. Thread-safe.

    An order is one transaction, so a message is queued again once, whoever else decides about it meanwhile.
    """

    def __init__(self, client: Any, keys: KeyNames) -> None:
        self._client = client
        self._keys = keys

    def __iter__(self) -> Iterator[MalformedMessage]:
        """Oldest first. Read page by page: what is taken away meanwhile moves the others."""
        start = 0
        while page := self._client.lrange(self._keys.malformed, start, start + _PAGE - 1):
            yield from map(_read, page)
            start += len(page)

    def discard(self, message: MalformedMessage, who: str) -> bool:
        """Take it away for good; False where it is not there any more."""
        told = decision(who, "discard", malformed=message.name, reason=message.about.get("reason"))
        return self._take(message, told, lambda pipe: None)

    def now_ms(self) -> int:
        """Redis's clock, since the epoch."""
        seconds, microseconds = self._client.time()
        return int(seconds * 1000 + microseconds // 1000)

    def retry(self, message: MalformedMessage, mended: bytes, who: str) -> bool:
        """Queue what `fresh` made of it in its place; False where it is not there any more."""
        told = decision(who, "retry", malformed=message.name, reason=message.about.get("reason"))
        return self._take(message, told, lambda pipe: pipe.lpush(self._list_of(mended), mended))

    def _list_of(self, raw: bytes) -> str:
        """The list that the message says it belongs into, if that is one of ours."""
        information = loads(raw)["properties"].get("delivery_info")
        key = information.get("routing_key") if isinstance(information, dict) else None
        return key if key in self._keys.lists else self._keys.queue

    def _take(self, message: MalformedMessage, told: str, and_then: Callable[[Any], object]) -> bool:
        for _ in range(_TRIES):
            with self._client.pipeline(transaction=True) as pipe:
                pipe.watch(self._keys.malformed)
                if pipe.lpos(self._keys.malformed, message.entry) is None:
                    return False
                pipe.multi()
                pipe.lrem(self._keys.malformed, 1, message.entry)
                and_then(pipe)
                pipe.xadd(self._keys.decisions, {"decision": told}, maxlen=KEPT)
                try:
                    pipe.execute()
                except WatchError:  # another message was put aside, or decided about, meanwhile
                    continue
                return True
        raise WatchError(f"the list {self._keys.malformed} does not come to rest")


def fresh(raw: bytes, now_ms: int) -> bytes:
    """The message as it may be queued again: it says that it was queued now.

    By that it is no redelivery of a job that has ended because its message could not be read.

    Args:
        now_ms: since the epoch, on Redis's clock: that of the job's end.

    Raises:
        Malformed: no worker of this version could read it.
    """
    parse(raw, "")
    message = loads(raw)
    message["headers"][ENQUEUED_AT_HEADER] = now_ms
    try:
        return dumps(message)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not a message that could be written: {error}") from None


def editable(raw: bytes) -> str:
    """The message to be mended by hand: indented, its body as text instead of base64; else as it came."""
    try:
        message = loads(raw)
        if message["properties"].get("body_encoding") == "base64":
            message["body"] = binascii.a2b_base64(message["body"], strict_mode=True).decode()
            del message["properties"]["body_encoding"]
        return json.dumps(message, indent=2)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return raw.decode(errors="backslashreplace")


def _read(entry: bytes) -> MalformedMessage:
    about, end = json.JSONDecoder().raw_decode(entry.decode("latin-1"))
    return MalformedMessage(about, entry[end + 1 :], entry)
