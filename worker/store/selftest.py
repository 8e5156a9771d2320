"""What Redis would refuse of what a worker writes, found out without writing anything.

Redis checks rights, memory, its role, its file and its replicas when a command is queued in a transaction.
So each command that a worker uses is queued with its real keys, and then the transaction is discarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis

from tasks import redis_errors
from tasks.connection import say_no_library
from worker.store.keys import SAMPLE, TABLE, KeyNames

_KEY: Final = "<key>"  # the key once more

# What follows the key. Where a command has a form that is taken into a transaction but would fail in it, that
# is here: not even a Redis that is no Redis, and executes at once, is written to by those.
_ARGUMENTS: Final[dict[str, tuple[str | int, ...]]] = {
    "BLMOVE": (_KEY, "RIGHT", "RIGHT", "never"), "BLPOP": ("never",), "DEL": (),
    "EXISTS": (), "EXPIRE": ("never",), "GET": (),
    "HDEL": (SAMPLE,), "HEXISTS": (SAMPLE,), "HGET": (SAMPLE,), "HGETALL": (),
    "HINCRBY": (SAMPLE, "none"), "HKEYS": (), "HMGET": (SAMPLE,), "HSET": (SAMPLE, "", "odd"),
    "LLEN": (), "LPUSH": ("",), "LRANGE": (0, 0), "LTRIM": ("from", "to"), "PERSIST": (),
    "PUBLISH": ("",), "RPOP": ("none",),
    "RPUSH": ("",), "SADD": ("",), "SET": ("", "BADLY"), "SISMEMBER": ("",), "SMEMBERS": (),
    "SRANDMEMBER": ("some",), "SREM": (SAMPLE,), "TTL": (), "XADD": ("badly", "", ""),
    "XRANGE": ("-", "+", "COUNT", 1),
    "ZADD": ("none", ""), "ZCARD": (), "ZRANGE": (0, 0), "ZRANGEBYSCORE": (0, 0), "ZREM": (SAMPLE,),
    "ZSCORE": (SAMPLE,),
}  # fmt: skip

_LIST: Final = ("list", ("LLEN", "LRANGE", "RPOP", "RPUSH", "LPUSH", "BLMOVE"))
_FURTHER_LIST: Final = ("list", ("EXISTS", "LLEN", "LRANGE", "RPOP"))
_RESULTS: Final = ("stream", ("XADD", "XRANGE"))
_OUTPUTS: Final = ("stream", ("XADD",))

Uses = dict[str, tuple[str, tuple[str, ...]]]
"""For each key its type, and what a worker does with it."""

_REMEDIES: Final = {
    "OOM": "raise maxmemory, or lower AIGC_RESULTS_MAXLEN and AIGC_JOURNAL_TTL_S",
    "READONLY": "a replica: let AIGC_REDIS_URL name its primary, or make it the primary: REPLICAOF NO ONE",
    "MASTERDOWN": "a replica that lost its primary: let AIGC_REDIS_URL name a primary",
    "MISCONF": "Redis cannot save to its disk: see its log, and the free space of the disk",
    "NOREPLICAS": "bring its replicas back, or CONFIG SET min-replicas-to-write 0",
    "BUSY": "a script keeps Redis busy: wait, or SCRIPT KILL",
}
"""By Redis's word; these are the same for all commands, and are told once."""

Command = tuple[str | int, ...]
"""Name, key or channel where there is one, and the rest."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What Redis answered to a command, by Redis's word and the rest of its words."""

    command: Command
    word: str
    text: str

    @classmethod
    def of(cls, command: Command, error: redis.ResponseError) -> _Refusal:
        word = getattr(error, "status_code", None)  # redis-py takes the words that it knows off the text
        if word is None:
            word, _, text = str(error).partition(" ")
            return cls(command, word, text)
        return cls(command, word, str(error))

    @property
    def subject(self) -> str:
        """What a right is missing for."""
        return next((word for word in ("command", "channel") if word in self.text), "key")

    @property
    def lasts(self) -> bool:
        """Whether waiting cannot end it. What nobody has thought of may pass."""
        return self.word == "NOPERM" or (self.word, self.text[:8]) == ("unknown", "command ")

    @property
    def cause(self) -> tuple[str, ...]:
        """Equal for what one remedy mends."""
        if self.word in _REMEDIES:
            return (self.word,)
        missing = self.command[1] if self.word == "NOPERM" and self.subject != "command" else self.command[0]
        return self.word, self.text, str(missing)


def refusals(client: Any, keys: KeyNames, *, lasting: bool = False) -> list[str]:
    """What this Redis would refuse to a worker, with the remedy, a line each; empty where all is well.

    Args:
        lasting: only what does not pass by itself, as a full memory may and a failover does: a right, a key
            of another type, a command that this Redis does not have.

    Takes a connection of its own, and two round trips on it. Without the right to ask for types, those
    are not checked.

    Raises:
        redis.ConnectionError, redis.TimeoutError: Redis is away, or still loads its data.
    """
    uses = uses_of(keys)
    with _connection(client) as connection:
        *types, begun = _answers(connection, [*(("TYPE", key) for key in uses), ("MULTI",)])
        lines = _wrong_types(uses, types)
        if isinstance(begun, redis.ResponseError):
            told = f"MULTI: {begun}: what else is refused cannot be found out; give the right to it"
            lasts = _Refusal.of(("MULTI",), begun).lasts
            return [*lines, told] if lasts or not lasting else lines
        commands = list(_commands(uses, keys))
        # Should the last one be refused, the end of the connection discards the transaction.
        answers = _answers(connection, [*commands, ("DISCARD",)])[:-1]
    refused: dict[tuple[str, ...], list[_Refusal]] = {}
    for command, answer in zip(commands, answers, strict=True):
        if isinstance(answer, redis.ResponseError):
            refusal = _Refusal.of(command, answer)
            if refusal.lasts or not lasting:
                refused.setdefault(refusal.cause, []).append(refusal)
    user = client.connection_pool.connection_kwargs.get("username") or "default"
    return lines + [_line(together, user, keys) for together in refused.values()]


def kept_out(client: Any, keys: KeyNames) -> list[str]:
    """Why a worker that begins now could not work until somebody mends it, a line each with the remedy.

    Empty where all is well, and where waiting may help: Redis is away, or says something that passes.
    """
    pool = client.connection_pool
    usual = pool.connection_class(**pool.connection_kwargs)
    try:
        usual.connect()  # it has words for what the plain one of the test is refused
        return refusals(client, keys, lasting=True)
    except (redis.RedisError, OSError) as error:
        return list(filter(None, [redis_errors.refusal(error)]))
    finally:
        usual.disconnect()


def uses_of(keys: KeyNames) -> Uses:
    uses: Uses = {**dict.fromkeys(keys.lists, _LIST), keys.results: _RESULTS}
    uses |= dict.fromkeys(keys.further_lists, _FURTHER_LIST)
    if keys.outputs is not None:
        uses[keys.outputs] = _OUTPUTS
    for key in TABLE.values():
        for stored in key.samples():
            uses[f"{keys.queue}:{stored}"] = (key.kind, key.commands)
    return uses


@contextmanager
def _connection(client: Any) -> Iterator[Any]:
    """A new connection to where the client's go, closed afterwards."""
    pool = client.connection_pool
    # Not of `tasks.connection`: one that drops itself at a refusal would connect anew for the next command,
    # and there would be no transaction any more to keep that from being executed.
    plain = getattr(pool.connection_class, "plain", pool.connection_class)
    connection: Any = plain(**pool.connection_kwargs)
    say_no_library(connection)
    try:
        try:
            connection.connect()
        except redis.ResponseError as error:  # to SELECT, say
            raise redis.ConnectionError(f"Redis takes no connection: {error}") from error
        yield connection
    finally:
        connection.disconnect()


def _answers(connection: Any, commands: Sequence[Command]) -> list[Any]:
    """The commands' answers, errors among them, in one round trip."""
    # Without its check of the connection's health, which might connect anew as well.
    connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    answers = []
    for _ in commands:
        try:
            answers.append(connection.read_response())
        except redis.ResponseError as error:
            answers.append(error)
        except redis.exceptions.InvalidResponse as error:
            raise redis.ConnectionError(f"what answers is no Redis: {error}") from error
    return answers


def _commands(uses: Uses, keys: KeyNames) -> Iterator[Command]:
    for key, (_, names) in uses.items():
        for name in names:
            yield name, key, *(key if each == _KEY else each for each in _ARGUMENTS[name])
    for channel in filter(None, (keys.results, keys.outputs)):
        yield "PUBLISH", channel, *_ARGUMENTS["PUBLISH"]
    yield "EVALSHA", "0" * 40, 2, keys.queue, keys.results
    yield "SCRIPT", "LOAD", "return 1"
    yield ("TIME",)


def _wrong_types(uses: Uses, types: list[Any]) -> list[str]:
    return [
        f"the key {key} is a {found.decode()} and must be a {wanted}: let AIGC_QUEUE or AIGC_RESULTS give"
        " another name, or rename or delete it"
        for (key, (wanted, _)), found in zip(uses.items(), types, strict=True)
        if isinstance(found, bytes) and found.decode() not in (wanted, "none")
    ]


def _line(together: list[_Refusal], user: str, keys: KeyNames) -> str:
    """What is refused for one cause, Redis's words, and the remedy."""
    first = together[0]
    if first.word in _REMEDIES:
        rest = f" and {len(together) - 1} more" if len(together) > 1 else ""
        return f"{_what([first])}{rest}: {first.word} {first.text}; {_REMEDIES[first.word]}"
    if first.word == "NOPERM":
        name = str(first.command[0]).lower()
        named = str(first.command[1]) if len(first.command) > 1 else ""
        pattern = named if named in (keys.results, keys.outputs) else f"{keys.queue}*"
        rights = {"command": f"+{name}", "channel": f"&{named}", "key": f"~{pattern}"}
        remedy = f"ACL SETUSER {user} {rights[first.subject]}"
    else:
        remedy = "Redis 7.0 or newer is needed"
    return f"{_what(together)}: {first.word} {first.text}; {remedy}"


def _what(together: list[_Refusal]) -> str:
    names = dict.fromkeys(str(refusal.command[0]) for refusal in together)
    about = dict.fromkeys(str(each) for refusal in together for each in refusal.command[1:2])
    return f"{', '.join(names)} {', '.join(about)}".strip().replace("\x06\x16", " priority ")
