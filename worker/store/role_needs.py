"""What the self-test asks for other programs than a worker: their rules in `worker.store.acl`, on samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from worker.store.acl import KEYLESS, NUMBERED, channels_of, rights_of
from worker.store.keys import SAMPLE, KeyNames, kinds, pattern_of_all, patterns
from worker.store.selftest_commands import (
    Command,
    Needs,
    Uses,
    commands_on,
    named,
    needs_of_worker,
    on_channels,
)

_NOT_ASKED: Final = frozenset({"SELECT", "CLIENT|SETNAME", "MULTI", "DISCARD"})
"""Told by the connection itself, or done without."""

_OF_ANY_TYPE: Final = "TYPE EXISTS TTL EXPIRE PEXPIRE PERSIST DEL UNLINK MEMORY|USAGE EVALSHA"
_OF_TYPE: Final = {
    "hash": "HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HSCAN HSET HVALS",
    "list": "BLMOVE BLPOP LINDEX LLEN LPOP LPOS LPUSH LRANGE LREM LSET LTRIM RPOP RPUSH",
    "set": "SADD SCARD SISMEMBER SMEMBERS SRANDMEMBER SREM",
    "string": "GET SET STRLEN",
}
_BEGINS: Final = {"zset": "Z", "stream": "X"}


def needs_of(role: str, keys: KeyNames) -> Needs:
    """What one of `worker.store.acl.ROLES` does in Redis, with rules by which a user may do exactly that."""
    if role == "worker":
        return needs_of_worker(keys)
    rights, keyless = (
        rights_of(role, keys),
        [name for name in KEYLESS[role].split() if name not in _NOT_ASKED],
    )
    uses: Uses = {}
    pattern_of: dict[str, str] = {}
    for pattern, commands in rights.items():
        allowed = sorted(commands | ({"EVALSHA"} if "EVALSHA" in keyless else set()))
        for name, kind in _samples(pattern, keys):
            pattern_of[name] = pattern
            uses[name] = (kind, tuple(command for command in allowed if fits(command, kind)))
    return Needs(
        uses,
        (*commands_on(uses), *_without_keys(role, keyless, keys)),
        typed=tuple(key for key, (_, commands) in uses.items() if "TYPE" in commands),
        outside=tuple(_outside(keyless, next(iter(uses)))),
        discards="DISCARD" in KEYLESS[role].split(),
        patterns=pattern_of,
    )


def fits(command: str, kind: str) -> bool:
    """Whether a command is for keys of this type: of all keys some programs may use any command that is."""
    if kind in _BEGINS and command.startswith(_BEGINS[kind]):
        return True
    return command in f"{_OF_ANY_TYPE} {_OF_TYPE.get(kind, '')}".split()


def _samples(pattern: str, keys: KeyNames) -> Iterator[tuple[str, str]]:
    """Keys that the pattern is for, each with its type."""
    stored = kinds(keys.queue)
    if pattern == pattern_of_all(keys.queue):
        yield from stored.items()
    elif alike := [name for name, each in patterns(keys.queue).items() if each == pattern]:
        yield from ((name, stored[name]) for name in alike)
    elif pattern in (keys.results, keys.outputs):
        yield pattern, "stream"
    elif pattern.startswith("_kombu."):
        yield pattern.replace("*", f".{SAMPLE}"), "set"
    else:
        yield pattern.replace(NUMBERED, "\x06\x163"), "list"


def _without_keys(role: str, keyless: list[str], keys: KeyNames) -> Iterator[Command]:
    channels = channels_of(role, keys)
    for name in keyless:
        if name in ("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"):
            yield from on_channels(name, channels)
        elif name not in ("EVALSHA", "EXEC", "WATCH"):
            yield named(name)


def _outside(keyless: list[str], key: str) -> Iterator[Command]:
    """What a transaction would end with, or does not take."""
    if "EXEC" in keyless:
        yield "EXEC", ""
    if "WATCH" in keyless:
        yield "WATCH", key
