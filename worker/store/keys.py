"""The names of all keys in Redis, made from the queue's name, for Python and for the Lua scripts.

Some stored names are older than the words used now ("shelf" for dead letters, "siding" for a workflow's
backlog, "brake", "pace", "homes", "pulses"): workers of both versions share one Redis during an upgrade, so
a name that is stored never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, overload

from tasks.contract import Status, is_own_key, lists_read_as, queue_lists

DEAD_LETTER_STATES: Final[tuple[Status, ...]] = ("unknown", "exhausted", "rejected")
SAMPLE: Final = "selftest"


class Key:
    """One key of a queue.

    Args:
        stored: its name in Redis, after the queue's name and a colon.
        kind: its type, as Redis calls it.
        commands: what a worker does with it; the self-test asks for the right to each. None where only others
            use it.
        holds: what is in it, in a line.
    """

    def __init__(self, stored: str, kind: str, commands: str, holds: str) -> None:
        self.stored = stored
        self.kind = kind
        self.commands = tuple(commands.split())
        self.holds = holds

    @overload
    def __get__(self, keys: None, owner: type) -> Key: ...
    @overload
    def __get__(self, keys: KeyNames, owner: type) -> str: ...
    def __get__(self, keys: KeyNames | None, owner: type) -> Key | str:
        return self if keys is None else f"{keys.queue}:{self.stored}"

    def samples(self) -> Iterator[str]:
        """Stored names for the self-test."""
        yield self.stored

    def in_lua(self) -> str:
        return f"queue .. ':{self.stored}'"


class KeyFamily:
    """Keys that are alike, one for each job, worker, workflow or state; the rest as in `Key`."""

    def __init__(
        self, stored: str, kind: str, commands: str, holds: str, of: tuple[str, ...] = (SAMPLE,)
    ) -> None:
        self.stored = stored
        self.kind = kind
        self.commands = tuple(commands.split())
        self.holds = holds
        self._of = of

    @overload
    def __get__(self, keys: None, owner: type) -> KeyFamily: ...
    @overload
    def __get__(self, keys: KeyNames, owner: type) -> Callable[[str], str]: ...
    def __get__(self, keys: KeyNames | None, owner: type) -> KeyFamily | Callable[[str], str]:
        return self if keys is None else f"{keys.queue}:{self.stored}:{{}}".format

    def samples(self) -> Iterator[str]:
        """Stored names for the self-test."""
        for each in self._of:
            yield f"{self.stored}:{each}"

    def in_lua(self) -> str:
        return f"function(name) return queue .. ':{self.stored}:' .. name end"


@dataclass(frozen=True, slots=True)
class KeyNames:
    """Key names of one queue; ``results`` is the public name of channel and stream, ``outputs`` that of the
    outputs' where this process follows tasks.

    ``lists`` hold the queued messages, most urgent first; a message that is kept elsewhere is written as
    "<index of its list>|<message>". ``further_lists`` are read, too, and never written to.
    """

    queue: str
    results: str
    outputs: str | None = None
    lists: tuple[str, ...] = field(init=False)
    further_lists: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lists", queue_lists(self.queue))
        read = chain.from_iterable(lists_read_as(self.queue))
        object.__setattr__(self, "further_lists", tuple(name for name in read if name not in self.lists))

    def has(self, name: str) -> bool:
        """Whether a key is this queue's; the results are not told by name."""
        # By its name, for another queue's may begin like this one's: aigc and aigc:staging.
        return name in (*self.lists, *self.further_lists) or is_own_key(self.queue, name)

    def is_record(self, name: str) -> bool:
        """Whether a key is a job's record."""
        return name.startswith(self.job(""))

    job = KeyFamily(
        "job", "hash", "HGET HGETALL HMGET HSET HDEL HINCRBY EXPIRE PERSIST TTL",
        "a job's record; worker/store/record.py has its fields",
    )  # fmt: skip
    unacked = KeyFamily(
        "unacked", "hash", "HGET HMGET HGETALL HEXISTS HKEYS HSET HDEL",
        "messages that a worker holds, by tag: <list index>.<sequence>",
    )  # fmt: skip
    workers = Key("workers", "zset", "ZADD ZREM ZSCORE ZRANGE", "living workers by ms of their last beat")
    identities = Key("homes", "hash", "HSET HDEL HGETALL", "process identity of each living worker")
    last_polls = Key("pulses", "hash", "HSET HDEL HGETALL", "ms at which each worker last polled the queue")
    troubles = Key("troubles", "hash", "HSET HDEL HGETALL", "what keeps each worker from working, in words")
    refused = Key("refused", "set", "SADD SREM SMEMBERS", "workers whose settings the vendor refuses")
    refusals = Key("refusals", "hash", "HKEYS HSET HDEL HGETALL", "what the vendor answered each of those")
    descriptions = Key(
        "descriptions",
        "hash",
        "HKEYS HSET HDEL HGETALL",
        "host, node name and version of each worker, as JSON",
    )
    routes = Key(
        "routes", "hash", "HKEYS HSET HDEL HGETALL DEL",
        "of each worker, when an attempt last came through to the vendor, or since when none does",
    )  # fmt: skip
    sending = Key("sending", "zset", "ZADD ZREM ZCARD ZRANGE", "attempts in flight, <worker>|<job>, by ms")
    slot_waiters = Key(
        "slots:waiting", "zset", "ZADD ZREM ZRANGE EXISTS", "workers that wait for a slot, by turn"
    )
    slot_asks = Key("slots:asked", "hash", "HGET HSET HDEL", "ms at which each of those last asked for one")
    wake = KeyFamily(
        "wake", "list", "RPUSH LTRIM EXPIRE DEL BLPOP", "a mark that wakes a worker, for a slot is free"
    )
    delayed = Key(
        "waiting", "zset", "ZADD ZREM ZCARD ZSCORE ZRANGE ZRANGEBYSCORE", "jobs that go on later, by ms due"
    )
    delayed_messages = Key("waiting:messages", "hash", "HGET HEXISTS HSET HDEL", "their messages, by job")
    backlogs = Key("sidings", "set", "SADD SREM SMEMBERS", "workflows that have a backlog of their own")
    backlog = KeyFamily(
        "siding", "list", "LPUSH LRANGE RPOP LLEN", "messages that wait for their workflow only"
    )
    unfinished = Key("unfinished", "set", "SADD SREM SRANDMEMBER", "jobs of which Redis refused some steps")
    refusing = Key(
        "refusing", "string", "EXISTS SET DEL", "there for as long as Redis refuses to settle some job"
    )
    dead_letters = KeyFamily(
        "shelf", "zset", "ZADD ZREM ZCARD ZSCORE ZRANGEBYSCORE", "jobs that ended so, by second of their end",
        DEAD_LETTER_STATES,
    )  # fmt: skip
    dead_letter_messages = Key("shelf:messages", "hash", "HGET HSET HDEL", "their messages, by job")
    dead_letter_results = Key("shelf:results", "hash", "HGET HSET HDEL", "their results, by job")
    decisions = Key("decisions", "stream", "XADD", "what operators decided, the last 100,000")
    malformed = Key("malformed", "list", "RPUSH LTRIM", "messages that no worker could read, and why")
    counters = Key("counters", "hash", "HGET HINCRBY", "posts, and how jobs ended, since the queue was made")
    metrics = Key(
        "metrics",
        "hash",
        "HMGET HGETALL HINCRBY",
        "the same by workflow; worker/store/metric_fields.py has its fields",
    )
    history = Key(
        "history", "list", "LRANGE RPUSH LTRIM", "all of that together once a minute; worker/store/history.py"
    )
    breaker = Key(
        "brake", "hash", "EXISTS HGET HMGET HSET HDEL DEL EXPIRE",
        "the circuit breaker; lua/_breaker.lua has its fields",
    )  # fmt: skip
    adaptive_rate = Key(
        "pace", "hash", "EXISTS HGET HMGET HSET HDEL DEL EXPIRE TTL",
        "the rate learned from the vendor; lua/_adaptive_rate.lua has its fields",
    )  # fmt: skip
    rate = Key("rate", "string", "GET SET DEL", "ms of the next free slot in the schedule of posts")
    workflow_rate = KeyFamily("rate", "string", "GET SET DEL", "the same for one workflow")
    workflows = Key("workflows", "set", "SADD SMEMBERS", "workflows of which jobs were attempted")
    paused = Key("paused", "set", "EXISTS SISMEMBER", "workflows that an operator paused; * for all")
    batch = KeyFamily(
        "batch",
        "hash",
        "EXISTS HMGET HSET TTL EXPIRE",
        "its jobs and counts; tasks/batch_store/moves.py has its fields",
    )
    batch_names = Key(
        "batches:known", "zset", "ZADD ZREM ZRANGEBYSCORE", "batches, by ms since which each is kept"
    )
    batch_events = Key("batches", "stream", "XADD", "that a batch has finished")
    cancels = Key(
        "cancels", "hash", "EXISTS HMGET", "when all jobs of a batch or workflow were cancelled, by ms"
    )
    dedupe = KeyFamily("dedupe", "string", "", "which job holds a dedupe key; tasks/dedupe.py")
    event = KeyFamily("event", "string", "", "there for as long as a product event is known again")
    debounce = KeyFamily("debounce", "string", "", "what waits for the last event of a product, as JSON")
    shops = Key("shops", "set", "", "under which names of shops purchases were asked for; empty: under none")
    event_problems = Key(
        "events:problems", "list", "", "products of events that made no job, and why, as JSON"
    )
    forwards = Key("forwards", "hash", "", "endpoints that results are forwarded to, as JSON, by name")
    forward_state = KeyFamily("forward:state", "hash", "", "of one of them: counters, position, trouble")
    forward_lease = KeyFamily("forward:lease", "string", "", "which process forwards to it now")
    forward_retries = KeyFamily("forward:retries", "hash", "", "messages to be sent to it once more, as JSON")
    forward_failed = KeyFamily("forward:failed", "stream", "", "messages that it never took")
    forward_replays = KeyFamily("forward:replays", "list", "", "what an operator wants sent again, as JSON")
    clock = Key("clock", "hash", "HMGET HSET HDEL", "Redis's clock at the last look; lua/_clock.lua")
    task = KeyFamily(
        "task", "hash", "HGET HMGET HEXISTS HSET HDEL HINCRBY EXPIRE",
        "the record of a task that is followed; worker/store/task_record.py has its fields",
    )  # fmt: skip
    open_tasks = Key(
        "tasks:open", "zset", "ZADD ZREM ZSCORE ZRANGE ZRANGEBYSCORE", "tasks that have not ended, by ms due"
    )
    tasks_accepted = Key("tasks:accepted", "zset", "ZADD ZREM", "the same by ms since when they are followed")
    unstored_tasks = Key(
        "tasks:unstored", "zset", "ZADD ZREM ZRANGEBYSCORE", "tasks whose file could not be kept, by ms"
    )
    task_durations = Key(
        "tasks:durations", "hash", "HGET HSET", "ms that tasks of each workflow took lately, smoothed"
    )
    query_rate = Key("tasks:rate", "string", "GET SET DEL", "ms of the next free turn to ask about a task")
    task_deadline = Key(
        "tasks:deadline", "string", "GET SET", "ms for which tasks are followed; there while some worker does"
    )
    task_troubles = Key(
        "tasks:troubles", "hash", "HSET HDEL EXPIRE", "what keeps each worker from following, in words"
    )


TABLE: Final[dict[str, Key | KeyFamily]] = {
    name: value for name, value in vars(KeyNames).items() if isinstance(value, Key | KeyFamily)
}
"""All keys but the lists and the results, by the name that Python and Lua have for them."""


def patterns(queue: str) -> dict[str, str]:
    """By the self-test's sample of a name, the pattern of all names that are like it."""
    return {
        f"{queue}:{sample}": f"{queue}:{key.stored}:*" if isinstance(key, KeyFamily) else f"{queue}:{sample}"
        for key in TABLE.values()
        for sample in key.samples()
    }


def kinds(queue: str) -> dict[str, str]:
    """By the self-test's sample of a name, the type of such keys."""
    return {f"{queue}:{sample}": key.kind for key in TABLE.values() for sample in key.samples()}


def pattern_of_all(queue: str) -> str:
    """The pattern of all keys but the lists, and results and outputs of other names."""
    return f"{queue}:*"


def lua_keys(names: Iterable[str]) -> str:
    """Lua that makes the names of these keys, as ``keys``."""
    lines = [f"  {name} = {TABLE[name].in_lua()}," for name in names]
    return "\n".join(["local queue = KEYS[1]", "local keys = {", *lines, "}", ""])


def lua_lists() -> str:
    """Lua that makes the names of the queue's lists, as ``lists``, from 0."""
    return f"local lists = {{[0] = {_in_lua(queue_lists(''))}}}\n"


def lua_lists_read_as() -> str:
    """Lua that makes, for each of ``lists``, the names of those that are read in its turn, as
    ``lists_read_as``; and all of these that are not among ``lists``, as ``further_lists``."""
    groups = (f"{{{_in_lua(group)}}}" for group in lists_read_as(""))
    further = _in_lua(KeyNames("", "").further_lists)
    return f"local lists_read_as = {{[0] = {', '.join(groups)}}}\nlocal further_lists = {{{further}}}\n"


def _in_lua(names: Iterable[str]) -> str:
    return ", ".join(f"queue .. '{_escaped(name)}'" for name in names)


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\{ord(char):03d}" for char in text)
