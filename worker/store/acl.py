"""The ACL users that a queue's programs need in Redis: each may do its work on its keys, and nothing else.

A worker's rights are what `worker.store.selftest_commands` has; the others' are listed here. `python -m
worker.store.acl` prints all of them, for the names in the environment, as lines for Redis's `aclfile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tasks.settings import broker_from_environ
from worker.store.keys import KeyNames, pattern_of_all, patterns
from worker.store.selftest_commands import uses_of

_CONNECTION: Final = "PING TIME ROLE SELECT INFO CLIENT|SETNAME"
_TRANSACTIONS: Final = "MULTI EXEC DISCARD WATCH UNWATCH"
_SCRIPTS: Final = f"EVALSHA SCRIPT|LOAD {_TRANSACTIONS}"
_HEALTH: Final = "SCAN"  # never CONFIG|GET: it gives requirepass and masterauth as it gives `save`
_LISTEN: Final = "SUBSCRIBE UNSUBSCRIBE"

KEYLESS: Final[Mapping[str, str]] = {
    "producer": f"{_CONNECTION} {_SCRIPTS}",
    "worker": f"{_CONNECTION} {_SCRIPTS} {_HEALTH} {_LISTEN} PUBLISH",
    "consumer": f"{_CONNECTION} {_LISTEN} MULTI EXEC",
    "operator": f"{_CONNECTION} {_SCRIPTS} {_HEALTH} {_LISTEN} PUBLISH",
    "ui": f"{_CONNECTION} {_SCRIPTS} {_HEALTH}",
    "forward": f"{_CONNECTION} {_TRANSACTIONS}",
    "events": f"{_CONNECTION} {_SCRIPTS}",
}
"""By role, what it may do beside its keys."""

ROLES: Final = tuple(KEYLESS)

# kombu's separator is two control characters; a name of another queue has none: `tasks.environment`.
NUMBERED: Final = "[^!-~][^!-~][0-9]"
_LISTS: Final = tuple(f"{{q}}{which}{step}" for which in ("", ".high", ".low") for step in ("", NUMBERED))
"""The queue's lists and those of Celery's priorities: `tasks.contract.lists_read_as`. Not another queue's."""

_LOOK: Final = (
    "TYPE EXISTS TTL GET STRLEN LLEN LRANGE LINDEX HGET HMGET HGETALL HLEN HKEYS HVALS HEXISTS HSCAN "
    "SISMEMBER SMEMBERS SCARD ZCARD ZCOUNT ZSCORE ZMSCORE ZRANGE ZRANGEBYSCORE ZREVRANGE XLEN XRANGE "
    "XREVRANGE XREAD XINFO|STREAM XINFO|GROUPS MEMORY|USAGE"
)
_READ_AS_GROUP: Final = (
    "XLEN XRANGE XREVRANGE XREAD XREADGROUP XACK XCLAIM XAUTOCLAIM XPENDING XINFO|STREAM XINFO|GROUPS "
    "XINFO|CONSUMERS XGROUP|CREATE XGROUP|DELCONSUMER"
)
_FURTHER_OF_OPERATOR: Final = "UNLINK LPOS LREM LPOP LSET HINCRBY XDEL XTRIM ZREMRANGEBYSCORE XGROUP|DESTROY"

# What kombu notes of a queue when a Celery app sends to it.
_KOMBU: Final[Mapping[str, str]] = {"_kombu.binding*": "SADD SMEMBERS"}

_OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "producer": {
        **dict.fromkeys(_LISTS, "LPUSH LLEN"),
        **_KOMBU,
        "{q}:dedupe:*": "GET SET",
        "{q}:batch:*": "EXISTS HMGET HSET TTL EXPIRE",
        "{q}:batches:known": "ZADD ZREM ZRANGEBYSCORE ZREVRANGE",
        "{q}:batches": "XREAD XREVRANGE",
        "{q}:job:*": "EXISTS HEXISTS HGET HMGET HSET EXPIRE TTL",
        "{q}:waiting": "ZSCORE",
        "{q}:shops": "SADD SMEMBERS",
    },
    "consumer": {
        "{q}:job:*": "EXISTS HGET HMGET HGETALL",
        "{q}:task:*": "EXISTS HGET HMGET HGETALL",
    },
    "forward": {
        "{q}:forwards": "HGETALL HSET HDEL",
        "{q}:forward:state:*": "HGETALL HSET HDEL HINCRBY",
        "{q}:forward:lease:*": "GET SET DEL PEXPIRE",
        "{q}:forward:retries:*": "HVALS HLEN HSET HDEL",
        "{q}:forward:failed:*": "XADD XDEL XLEN XRANGE",
        # LINDEX: of forwarders before, which run beside this version's during an upgrade.
        "{q}:forward:replays:*": "LLEN LINDEX LRANGE LPOP LSET RPUSH",
    },
    "events": {
        **dict.fromkeys(_LISTS, "LPUSH"),
        "{q}:dedupe:*": "GET SET DEL PEXPIRE",
        "{q}:event:*": "EXISTS SET",
        "{q}:debounce:*": "GET SET DEL",
        "{q}:shops": "SADD",
        "{q}:job:*": "HEXISTS HGET HMGET HSET HDEL EXPIRE",
        "{q}:waiting": "ZADD ZREM ZSCORE",
        "{q}:waiting:messages": "HEXISTS HGET HSET HDEL",
        "{q}:events:problems": "LPUSH LTRIM",
        "{q}:counters": "HINCRBY",
    },
}

Rights = dict[str, set[str]]
"""Commands by the pattern of the keys that they may be used on."""


def lines(keys: KeyNames, callback_queue: str = "celery") -> list[str]:
    """A line for each user. They are off and have no password: the file alone lets nobody in.

    Args:
        keys: of the queue, with the name of its outputs.
        callback_queue: `AIGC_CALLBACK_QUEUE`: where workers send what is linked to jobs.
    """
    return [f"user {keys.queue}-{role} off {' '.join(rules(role, keys, callback_queue))}" for role in KEYLESS]


def rules(role: str, keys: KeyNames, callback_queue: str = "celery") -> list[str]:
    """The words of `ACL SETUSER` for one of `ROLES`, without the user's state and passwords."""
    allowed = rights_of(role, keys, callback_queue)
    channels = channels_of(role, keys)
    revocations = ["/*.celery.pidbox"] if role == "worker" else []
    # A script is checked twice: EVALSHA with the keys that it declares, and each command that it runs. So the
    # user itself has all keys and no command on them; what may be done with which key is in the selectors.
    words = ["resetkeys", "resetchannels", "-@all", *_may(KEYLESS[role].split())]
    words += [f"~{pattern}" for pattern in sorted(allowed)]
    words += [f"&{channel}" for channel in (*channels, *revocations)]
    # By command and not by key, for a command of several keys must find all of them in one selector.
    of_command: dict[str, set[str]] = {}
    for pattern, commands in allowed.items():
        for command in commands:
            of_command.setdefault(command, set()).add(pattern)
    grouped: dict[tuple[str, ...], list[str]] = {}
    for command, names in of_command.items():
        grouped.setdefault(tuple(sorted(names)), []).append(command)
    for names_of, together in sorted(grouped.items()):
        on = " ".join(f"~{pattern}" for pattern in names_of)
        words.append(f"(-@all {' '.join(_may(sorted(together)))} {on})")
    return words


def _may(commands: Iterable[str]) -> list[str]:
    return [f"+{command.lower()}" for command in commands]


def channels_of(role: str, keys: KeyNames) -> list[str]:
    """The channels of results and outputs, for who publishes there or listens."""
    return _streams(keys) if role in ("worker", "consumer", "operator") else []


def rights_of(role: str, keys: KeyNames, callback_queue: str = "celery") -> Rights:
    """What one of `ROLES` may do, with which keys."""
    streams, everything = _streams(keys), [*_lists(keys), pattern_of_all(keys.queue), *_streams(keys)]
    if role == "worker":
        made = _of_worker(keys)
        linked = dict.fromkeys((callback_queue, f"{callback_queue}{NUMBERED}"), "LPUSH LLEN")
        _add(made, {**linked, **dict.fromkeys(everything, "TYPE"), **_KOMBU})
        return made
    if role == "operator":
        of_worker = set[str]().union(*_of_worker(keys).values())
        made = {pattern: set(of_worker) for pattern in everything}
        _add(made, dict.fromkeys(everything, f"{_LOOK} {_READ_AS_GROUP} {_FURTHER_OF_OPERATOR}"))
        _add(made, _KOMBU)
        return made
    made = {}
    if role == "ui":
        _add(made, dict.fromkeys(everything, _LOOK))
        return made
    _add(made, {pattern.format(q=keys.queue): commands for pattern, commands in _OWN[role].items()})
    if role in ("consumer", "forward"):
        _add(made, dict.fromkeys(streams, _READ_AS_GROUP))
    if role == "forward":
        _add(made, dict.fromkeys(streams, "EXISTS"))  # `aigc forward status` and `replay`
    return made


def _of_worker(keys: KeyNames) -> Rights:
    """What the self-test asks for, its samples' names widened to those of all keys that are alike."""
    alike = patterns(keys.queue)
    lists = {*keys.lists, *keys.further_lists}
    rights: Rights = {}
    for name, (_, commands) in uses_of(keys).items():
        for pattern in _lists(keys) if name in lists else [alike.get(name, name)]:
            rights.setdefault(pattern, set()).update(commands)
    return {pattern: commands for pattern, commands in rights.items() if commands}


def _add(rights: Rights, further: Mapping[str, str]) -> None:
    for pattern, commands in further.items():
        rights.setdefault(pattern, set()).update(commands.split())


def _lists(keys: KeyNames) -> list[str]:
    return [pattern.format(q=keys.queue) for pattern in _LISTS]


def _streams(keys: KeyNames) -> list[str]:
    return [name for name in (keys.results, keys.outputs) if name]


def main() -> None:
    """Print the file for the names in the environment."""
    broker = broker_from_environ()
    print("\n".join(lines(KeyNames(broker.queue, broker.results, broker.outputs))))


if __name__ == "__main__":
    main()
