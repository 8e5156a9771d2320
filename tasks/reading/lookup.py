"""Find the last message about something by its id, where one is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from .. import broker
from ..clients import promptly, reported
from .drivers import Blocking, finish
from .feed import Feed, Found, M

if TYPE_CHECKING:
    import redis.asyncio

_IDS_A_CALL: Final = 200


def look_up(feed: Feed[M], of: str) -> M | None:
    """The message; None where there is none. Raises BrokerUnavailable, and what `Found` has."""

    def call() -> dict[str, Found[M]]:
        return finish(found(feed, Blocking(broker.redis_client()).as_async(), [of]))

    with reported(feed.name(broker.settings())):
        return of_one(promptly(call))


def of_one(messages: dict[str, Found[M]]) -> M | None:
    """What was found of a single id; raises the error that there is in its place."""
    for message in messages.values():
        if isinstance(message, ValueError):
            raise message
        return message
    return None


async def found(feed: Feed[M], client: redis.asyncio.Redis, ids: Sequence[str]) -> dict[str, Found[M]]:
    """The messages that there are about these, by id. Raises RedisError as the client does."""
    messages: dict[str, Found[M]] = {}
    for start in range(0, len(ids), _IDS_A_CALL):
        messages |= await feed.find(client, ids[start : start + _IDS_A_CALL])
    return messages


async def in_records(client: redis.asyncio.Redis, records: dict[str, str], field: str) -> dict[str, bytes]:
    """One field of each record that has it.

    Args:
        records: the keys of the records, by whatever names they are to have in what is returned.
    """
    pipeline = client.pipeline(transaction=False)
    for key in records.values():
        await pipeline.hget(key, field)
    replies = await pipeline.execute(raise_on_error=False)
    values = zip(records, map(_no_record, replies), strict=True)
    return {name: value for name, value in values if value}


def parsed(parse: Callable[[str | bytes], M], text: bytes) -> Found[M]:
    """The message, or the error that says why it is none."""
    try:
        return parse(text)
    except ValueError as error:
        return error


def _no_record(reply: Any) -> bytes | None:
    """The value; a key of another type is nobody's record."""
    if isinstance(reply, Exception):
        if "WRONGTYPE" not in str(reply):
            raise reply
        return None
    value: bytes | None = reply
    return value
