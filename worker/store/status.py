"""The document that `aigc status --json` prints, and that the page answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from worker.store.forward_stats import forwards
from worker.store.forward_values import Stream
from worker.store.keys import KeyNames
from worker.store.scripts import Scripts
from worker.store.stats import stats
from worker.store.unread_lists import UnreadList, find, shown

LOOK_S: Final = 0.3
"""How long to look for lists that nobody reads, beyond one round trip: `aigc doctor` takes its time."""


def status(
    scripts: Scripts,
    keys: KeyNames,
    streams: Mapping[Stream, str],
    unread: Sequence[UnreadList] | None = None,
) -> dict[str, Any]:
    """What is found, as JSON values.

    Args:
        streams: the names of results and outputs.
        unread: lists that no worker reads, where they are known already.

    Raises:
        redis.RedisError: Redis is away.
    """
    lists = find(scripts.client, keys, LOOK_S)[0] if unread is None else unread
    found = with_unread(stats(scripts, keys), lists)
    return found | {"forwards": forwards(scripts.client, keys, streams)}


def with_unread(found: dict[str, Any], lists: Sequence[UnreadList]) -> dict[str, Any]:
    """What was found of the queue, and beside it the lists that no worker reads, as warnings, too."""
    queue = found["queue"]
    return found | {
        "unread_lists": [{"list": shown(each.name), "messages": each.messages} for each in lists],
        "warnings": [*found["warnings"], *(each.in_words(queue) for each in lists)],
    }
