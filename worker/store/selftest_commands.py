"""What the self-test asks Redis for: the commands of a program and their keys, in forms that do nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from worker.store.keys import SAMPLE, TABLE, KeyNames

_KEY: Final = "<key>"  # the key once more

# What follows the key. Where a command has a form that is taken into a transaction but would fail in it, that
# is here: not even a Redis that is no Redis, and executes at once, is written to by those.
ARGUMENTS: Final[Mapping[str, tuple[str | int, ...]]] = {
    "BLMOVE": (_KEY, "RIGHT", "RIGHT", "never"), "BLPOP": ("never",), "DEL": (),
    "EXISTS": (), "EXPIRE": ("never",), "GET": (),
    "HDEL": (SAMPLE,), "HEXISTS": (SAMPLE,), "HGET": (SAMPLE,), "HGETALL": (),
    "HINCRBY": (SAMPLE, "none"), "HKEYS": (), "HMGET": (SAMPLE,), "HSET": (SAMPLE, "", "odd"),
    "LLEN": (), "LPUSH": ("",), "LRANGE": (0, 0), "LTRIM": ("from", "to"), "PERSIST": (),
    "PUBLISH": ("",), "RPOP": ("none",), "RPUSH": ("",), "SADD": ("",), "SET": ("", "BADLY"),
    "SISMEMBER": ("",), "SMEMBERS": (), "SRANDMEMBER": ("some",), "SREM": (SAMPLE,), "TTL": (),
    "XADD": ("badly", "", ""), "XRANGE": ("-", "+", "COUNT", 1),
    "ZADD": ("none", ""), "ZCARD": (), "ZRANGE": (0, 0), "ZRANGEBYSCORE": (0, 0), "ZREM": (SAMPLE,),
    "ZSCORE": (SAMPLE,),
}  # fmt: skip
"""Of all that workers use."""

FURTHER: Final[Mapping[str, tuple[str | int, ...]]] = {
    "HLEN": (), "HSCAN": ("never",), "HVALS": (), "LINDEX": (0,), "LPOP": ("none",), "LPOS": ("",),
    "LREM": ("none", ""), "LSET": ("none", ""), "MEMORY|USAGE": (), "PEXPIRE": ("never",), "SCARD": (),
    "STRLEN": (), "TYPE": (), "UNLINK": (), "XACK": (SAMPLE, "badly"),
    "XAUTOCLAIM": (SAMPLE, SAMPLE, "never", "badly"), "XCLAIM": (SAMPLE, SAMPLE, "never", "badly"),
    "XDEL": ("badly",), "XGROUP|CREATE": (SAMPLE, "badly"), "XGROUP|DELCONSUMER": (SAMPLE, SAMPLE),
    "XGROUP|DESTROY": (SAMPLE,), "XINFO|CONSUMERS": (SAMPLE,), "XINFO|GROUPS": (), "XINFO|STREAM": (),
    "XLEN": (), "XPENDING": (SAMPLE,), "XREAD": (0,), "XREADGROUP": (">",),
    "XREVRANGE": ("+", "-", "COUNT", 1), "XTRIM": ("BADLY", 1), "ZCOUNT": (0, 0), "ZMSCORE": (SAMPLE,),
    "ZREMRANGEBYSCORE": ("from", "to"), "ZREVRANGE": (0, 0),
}  # fmt: skip
"""Of what only other programs use."""

_ON_KEYS: Final = {**ARGUMENTS, **FURTHER, "EVALSHA": ()}

KEYLESS: Final[Mapping[str, tuple[str | int, ...]]] = {
    "INFO": ("none",), "PING": (), "ROLE": (), "SCAN": ("never",), "SCRIPT|LOAD": ("return 1",), "TIME": (),
    "UNWATCH": (),
}  # fmt: skip
"""Of commands without a key."""

_BEFORE: Final[Mapping[str, tuple[str | int, ...]]] = {
    "EVALSHA": ("0" * 40, 1),
    "XREAD": ("STREAMS",),
    "XREADGROUP": ("GROUP", SAMPLE, SAMPLE, "STREAMS"),
}
"""What stands between a command and its key."""

_LIST: Final = ("list", ("LLEN", "LRANGE", "RPOP", "RPUSH", "LPUSH", "BLMOVE"))
_FURTHER_LIST: Final = ("list", ("EXISTS", "LLEN", "LRANGE", "RPOP"))
_RESULTS: Final = ("stream", ("XADD", "XRANGE"))
_OUTPUTS: Final = ("stream", ("XADD",))

Uses = dict[str, tuple[str, tuple[str, ...]]]
"""For each key its type, and what is done with it."""

Command = tuple[str | int, ...]
"""Name, as rules of ACLs have it (`XINFO|STREAM`); key or channel, empty where there is none; the rest."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a program does in Redis.

    Args:
        uses: its keys.
        commands: what is asked in a transaction.
        typed: keys of which it may ask the type.
        outside: what is asked before the transaction, which it would end.
        discards: whether it may end the transaction; else the end of the connection does.
        patterns: of each key, by which a right to exactly that is given; None: one to all keys of the queue.
    """

    uses: Uses
    commands: tuple[Command, ...]
    typed: tuple[str, ...]
    outside: tuple[Command, ...] = ()
    discards: bool = True
    patterns: Mapping[str, str] | None = None


def uses_of(keys: KeyNames) -> Uses:
    uses: Uses = {**dict.fromkeys(keys.lists, _LIST), keys.results: _RESULTS}
    uses |= dict.fromkeys(keys.further_lists, _FURTHER_LIST)
    if keys.outputs is not None:
        uses[keys.outputs] = _OUTPUTS
    for key in TABLE.values():
        for stored in key.samples():
            uses[f"{keys.queue}:{stored}"] = (key.kind, key.commands)
    return uses


def needs_of_worker(keys: KeyNames) -> Needs:
    """All that a worker does."""
    uses = uses_of(keys)
    commands = [
        *commands_on(uses),
        *on_channels("PUBLISH", filter(None, (keys.results, keys.outputs))),
        ("EVALSHA", keys.queue),
        ("EVALSHA", keys.results),
        named("SCRIPT|LOAD"),
        named("TIME"),
    ]
    return Needs(uses, tuple(commands), typed=tuple(uses))


def commands_on(uses: Uses) -> Iterator[Command]:
    """Each command on each key."""
    for key, (_, names) in uses.items():
        for name in names:
            yield name, key, *(key if each == _KEY else each for each in _ON_KEYS[name])


def on_channels(name: str, channels: Iterable[str]) -> Iterator[Command]:
    """A command on each of these channels."""
    for channel in channels:
        yield name, channel, *ARGUMENTS.get(name, ())


def named(name: str) -> Command:
    """A command without a key."""
    return name, "", *KEYLESS[name]


def sent(command: Command) -> Command:
    """The command as it goes to Redis."""
    name, subject, *rest = command
    return *str(name).split("|"), *_BEFORE.get(str(name), ()), *([subject] if subject else []), *rest
