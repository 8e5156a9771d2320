"""What Redis would refuse of what a program does, found out without writing anything.

Redis checks rights, memory, its role, its file and its replicas when a command is queued in a transaction.
So each command that the program uses is queued with its real keys, and then the transaction is discarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis

from tasks import redis_errors
from tasks.connection import say_no_library
from worker.store.keys import KeyNames
from worker.store.selftest_commands import Command, Needs, named, needs_of_worker, sent

_REMEDIES: Final = {
    "OOM": "raise maxmemory, or lower AIGC_RESULTS_MAXLEN and AIGC_JOURNAL_TTL_S",
    "READONLY": "a replica: let AIGC_REDIS_URL name its primary, or make it the primary: REPLICAOF NO ONE",
    "MASTERDOWN": "a replica that lost its primary: let AIGC_REDIS_URL name a primary",
    "MISCONF": "Redis cannot save to its disk: see its log, and the free space of the disk",
    "NOREPLICAS": "bring its replicas back, or CONFIG SET min-replicas-to-write 0",
    "BUSY": "a script keeps Redis busy: wait, or SCRIPT KILL",
}
"""By Redis's word; these are the same for all commands, and are told once."""

_OF_THE_USER: Final = ("EVALSHA", "WATCH", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE")
"""Allowed for no key in particular, as `worker.store.acl.rules` has it; scripts' keys stand beside."""

_NAMED: Final = 6
"""So many keys are named in a line whose remedy has the patterns of all."""


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


def refusals(client: Any, keys: KeyNames, needs: Needs | None = None, *, lasting: bool = False) -> list[str]:
    """What this Redis would refuse to a program, with the remedy, a line each; empty where all is well.

    Args:
        needs: what the program does; None: a worker.
        lasting: only what does not pass by itself, as a full memory may and a failover does: a right, a key
            of another type, a command that this Redis does not have.

    Takes a connection of its own, and two round trips on it. Without the right to ask for types, those
    are not checked.

    Raises:
        redis.ConnectionError, redis.TimeoutError: Redis is away, or still loads its data.
    """
    needs = needs or needs_of_worker(keys)
    asking: list[Command] = [*(("TYPE", key) for key in needs.typed), *needs.outside]
    with _connection(client) as connection:
        *first, begun, queued = _answers(connection, [*asking, ("MULTI", ""), named("TIME")])
        lines = _wrong_types(needs, first)
        if isinstance(begun, redis.ResponseError):
            told = f"MULTI: {begun}: what else is refused cannot be found out; give the right to it"
            lasts = _Refusal.of(("MULTI", ""), begun).lasts
            return [*lines, told] if lasts or not lasting else lines
        if not (isinstance(queued, redis.ResponseError) or queued in (b"QUEUED", "QUEUED")):
            raise redis.ConnectionError("what answers is no Redis: it executes what is sent in a transaction")
        # Should the last one be refused, the end of the connection discards the transaction.
        ending: list[Command] = [("DISCARD", "")] if needs.discards else []
        answers = _answers(connection, [*needs.commands, *ending])[: len(needs.commands)]
    outside = _refused(needs.outside, first[len(needs.typed) :])
    # Out of its place EXEC is an error, too.
    found = [each for each in outside if each.word == "NOPERM"] + _refused(needs.commands, answers)
    causes: dict[tuple[str, ...], list[_Refusal]] = {}
    for refusal in found:
        if refusal.lasts or not lasting:
            causes.setdefault(refusal.cause, []).append(refusal)
    user = client.connection_pool.connection_kwargs.get("username") or "default"
    return lines + [_line(together, user, keys, needs.patterns) for together in causes.values()]


def _refused(commands: Sequence[Command], answers: Sequence[Any]) -> list[_Refusal]:
    asked = zip(commands, answers, strict=True)
    return [_Refusal.of(each, answer) for each, answer in asked if isinstance(answer, redis.ResponseError)]


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
    connection.send_packed_command(connection.pack_commands(map(sent, commands)), check_health=False)
    answers = []
    for _ in commands:
        try:
            answers.append(connection.read_response())
        except redis.ResponseError as error:
            answers.append(error)
        except redis.exceptions.InvalidResponse as error:
            raise redis.ConnectionError(f"what answers is no Redis: {error}") from error
    return answers


def _wrong_types(needs: Needs, types: list[Any]) -> list[str]:
    return [
        f"the key {key} is a {found.decode()} and must be a {wanted}: let AIGC_QUEUE or AIGC_RESULTS give"
        " another name, or rename or delete it"
        for key, found in zip(needs.typed, types, strict=False)
        if isinstance(found, bytes) and found.decode() not in ((wanted := needs.uses[key][0]), "none")
    ]


def _line(together: list[_Refusal], user: str, keys: KeyNames, patterns: Mapping[str, str] | None) -> str:
    """What is refused for one cause, Redis's words, and the remedy."""
    first = together[0]
    if first.word in _REMEDIES:
        rest = f" and {len(together) - 1} more" if len(together) > 1 else ""
        return f"{_what([first])}{rest}: {first.word} {first.text}; {_REMEDIES[first.word]}"
    if first.word == "NOPERM":
        rights = _right(first, keys) if patterns is None else _rights(together, patterns)
        remedy = f"ACL SETUSER {user} {rights}"
    else:
        remedy = "Redis 7.0 or newer is needed"
    what = _what(together, None if patterns is None else _NAMED)
    return f"{what}: {first.word} {first.text}; {remedy}"


def _right(refusal: _Refusal, keys: KeyNames) -> str:
    """The right to this command, channel or key, whatever is done with it."""
    name, subject = (str(each) for each in refusal.command[:2])
    pattern = subject if subject in (keys.results, keys.outputs) else f"{keys.queue}*"
    return {"command": f"+{name.lower()}", "channel": f"&{subject}", "key": f"~{pattern}"}[refusal.subject]


def _rights(together: list[_Refusal], patterns: Mapping[str, str]) -> str:
    """The rights to these commands on these keys, and to no others: a selector, where they are on keys."""
    first = together[0]
    if first.subject == "channel":
        return f"&{first.command[1]}"
    names = dict.fromkeys(str(refusal.command[0]) for refusal in together)
    subjects = dict.fromkeys(str(refusal.command[1]) for refusal in together)
    keys = list(dict.fromkeys(f"~{patterns[each]}" for each in subjects if each in patterns))
    plain = [name for name in names if not keys or name in _OF_THE_USER]
    words = [f"+{name.lower()}" for name in plain] if first.subject == "command" else keys if plain else []
    if selected := [f"+{name.lower()}" for name in names if name not in plain]:
        words = [*words, f"({' '.join([*selected, *keys])})"]
    return " ".join(words)


def _what(together: list[_Refusal], most: int | None = None) -> str:
    names = dict.fromkeys(str(refusal.command[0]).replace("|", " ") for refusal in together)
    about = list(dict.fromkeys(str(refusal.command[1]) for refusal in together))
    more = f" and {len(about) - most} more keys" if most and len(about) > most else ""
    told = f"{', '.join(names)} {', '.join(about[:most])}{more}"
    return told.strip().replace("\x06\x16", " priority ")
