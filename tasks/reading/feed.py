"""A feed: one kind of message that consumers read, and all that tells it from another."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from ..settings import BrokerSettings

if TYPE_CHECKING:
    import redis.asyncio

M = TypeVar("M")

Found: TypeAlias = M | ValueError
"""A message; the error where what there is cannot be read, a NewerMessage among them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Feed(Generic[M]):
    """One kind of message, such as results.

    Args:
        noun: what they are called, for log lines.
        subject: what each is about, for errors: it ends with its message.
        name: of the channel and the stream, in these settings.
        field: of a stream's entry that holds the JSON.
        parse: a message out of JSON. Raises NewerMessage and ValueError.
        id_of: the id of what a message is about.
        id_key: where it stands in the JSON.
        check_id: raises InvalidPayload where nothing can have this id.
        is_meant: whether a message of the channel is for programs with these settings.
        find: the last messages that are kept about these ids, a few hundred at most. Raises RedisError.
        log: where what a reader meets is logged.
    """

    noun: str
    subject: str
    name: Callable[[BrokerSettings], str]
    field: str
    parse: Callable[[str | bytes], M]
    id_of: Callable[[M], str]
    id_key: str
    check_id: Callable[[object], None]
    is_meant: Callable[[M, BrokerSettings], bool]
    find: Callable[[redis.asyncio.Redis, Sequence[str]], Awaitable[dict[str, Found[M]]]]
    log: logging.Logger

    def of(self, fields: dict[bytes, bytes]) -> M:
        """The message in a stream's entry. Raises as `parse`."""
        return self.parse(fields.get(self.field.encode(), b""))

    def timed_out(self, of: str, timeout_s: float | None) -> TimeoutError:
        """What is raised where nothing came in time."""
        within = f" within {timeout_s:g} s" if timeout_s else ""
        return TimeoutError(f"{self.subject} {of} has not ended{within}")


AnyFeed = Feed[Any]
