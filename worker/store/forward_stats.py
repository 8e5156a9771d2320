"""How the endpoints stand that are forwarded to."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from worker.local import process_identity
from worker.store.forward_state import group_of
from worker.store.forward_values import Stream
from worker.store.keys import KeyNames

_COUNTS: Final = ("delivered", "failed", "lost")


def forwards(client: Any, keys: KeyNames, names: Mapping[Stream, str]) -> list[dict[str, Any]]:
    """One object for each endpoint, by name.

    Args:
        names: of the streams in Redis.

    Raises:
        redis.RedisError: Redis is away.
    """
    known = {name.decode(): json.loads(about) for name, about in client.hgetall(keys.forwards).items()}
    if not known:
        return []
    groups = {stream: _groups(client, name) for stream, name in names.items()}
    return [_forward(client, keys, name, about, groups) for name, about in sorted(known.items())]


def _forward(
    client: Any, keys: KeyNames, name: str, about: dict[str, Any], groups: Mapping[Stream, dict[str, Any]]
) -> dict[str, Any]:
    with client.pipeline(transaction=False) as calls:
        calls.hgetall(keys.forward_state(name))
        calls.get(keys.forward_lease(name))
        calls.hlen(keys.forward_retries(name))
        calls.xlen(keys.forward_failed(name))
        calls.llen(keys.forward_replays(name))
        found, holder, waiting, failed, replays = calls.execute()
    state = {field.decode(): text.decode() for field, text in found.items()}
    own = [groups[stream].get(group_of(name)) for stream in groups if stream in about["streams"]]
    identity = holder.decode() if holder else ""
    return {
        "name": name,
        "url": about["url"],
        "url_is_whole": about["is_whole"],
        "streams": about["streams"],
        "active": bool(identity) and not process_identity.is_gone(identity),
        "backlog": _sum(own, "lag"),
        "pending": _sum(own, "pending"),
        "waiting": waiting,
        "replays": replays,
        "given_up": failed,
        **{count: int(state.get(count, 0)) for count in _COUNTS if count != "failed"},
        "failing_s": _ago_s(state.get("failing_since_ms")),
        "gone_s": _ago_s(state.get("gone_ms")),
        "last_error": state.get("last_error"),
    }


def _groups(client: Any, stream: str) -> dict[str, Any]:
    if not client.exists(stream):
        return {}
    return {group["name"].decode(): group for group in client.xinfo_groups(stream)}


def _sum(groups: list[Any], what: str) -> int | None:
    """Over all streams; None where Redis does not know it of one."""
    counts = [group[what] if group else 0 for group in groups]
    return None if None in counts else sum(counts)


def _ago_s(ms: str | None) -> float | None:
    return None if ms is None else max(0.0, time.time() - int(ms) / 1000)
