"""The consumer group of an endpoint on a stream: made where it is not there, and found to be lost."""

from __future__ import annotations

from typing import Any, NoReturn

from redis.exceptions import ResponseError

from tasks.exceptions import AigcError
from worker.store.forward_values import order_of


class GroupLost(AigcError):
    """The group is there no longer: Redis lost it, or somebody deleted it, or the stream."""


def make(client: Any, stream: str, group: str, position: str | None, start: str) -> None:
    """Make the group where it is not there. Raises as Redis does.

    Args:
        stream: its name in Redis.
        position: after which entry it goes on, where it was there before.
        start: where it begins otherwise: "0" or "$".
    """
    first, read = _beginning(client, stream, position, start)
    try:
        client.xgroup_create(stream, group, first, mkstream=True, entries_read=read)
    except ResponseError as error:
        if "BUSYGROUP" not in _words(error):
            raise


def _beginning(client: Any, stream: str, position: str | None, start: str) -> tuple[str, int | None]:
    """After which entry a new group begins, and how many of all there were lie before that."""
    try:
        about = client.xinfo_stream(stream)
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


def last_delivered(client: Any, stream: str, group: str) -> str:
    """The id of the last entry that the group was given.

    Raises:
        GroupLost: see there.
    """
    try:
        groups = client.xinfo_groups(stream)
    except ResponseError as error:
        raise_lost(error)
    for each in groups:
        if each["name"] == group.encode():
            return str(each["last-delivered-id"].decode())
    raise GroupLost(stream)


def raise_lost(error: ResponseError) -> NoReturn:
    """Raise what an error means: that the group is lost, or itself."""
    words = _words(error)
    if "NOGROUP" in words or "no such key" in words:
        raise GroupLost(words) from error
    raise error


def _words(error: ResponseError) -> str:
    """What Redis said: redis-py takes the first word off some errors."""
    return " ".join(filter(None, (getattr(error, "status_code", None), str(error))))
