"""Ways to make a real Redis refuse, and to mend it, without losing anything that is in it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tasks.contract import DEFAULT_QUEUE
from tests.chaos.arena import Arena
from tests.conditions import until

USER, PASSWORD = "worker", "secret"
BACKUP: Final = "backup-of-chaos:"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make Redis refuse.

    Attributes:
        refused: how often it has refused for this reason so far.
        sure: it must have refused something after some seconds.
        quiet: no producer can enqueue meanwhile.
        first: done once after it began to refuse.
        disk_mb: the size of the disk that it needs.
    """

    name: str
    refuse: Callable[[Arena], None]
    mend: Callable[[Arena], None]
    refused: Callable[[Arena], int]
    sure: bool = True
    quiet: bool = False
    first: Callable[[Arena], None] = lambda arena: None
    disk_mb: int | None = None


def add_user(arena: Arena) -> None:
    """A user of the workers' own, who may do everything, for what is taken from it later."""
    arena.redis.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all")
    arena.settings["REDIS_URL"] = f"redis://{USER}:{PASSWORD}@127.0.0.1:{arena.server.port}/0"


def without_command(command: str, *, sure: bool, first: Callable[[Arena], None] | None = None) -> Way:
    """The workers' user loses the right to a command, in scripts too."""

    def change(sign: str) -> Callable[[Arena], None]:
        return lambda arena: arena.redis.execute_command("ACL", "SETUSER", USER, f"{sign}{command}")

    def refused(arena: Arena) -> int:
        entries = [_pairs(entry) for entry in arena.redis.execute_command("ACL", "LOG", "1000")]
        # The entry of a subcommand is named client|setinfo, say.
        return sum(e["count"] for e in entries if e["object"].partition(b"|")[0] == command.encode())

    def refuse(arena: Arena) -> None:
        arena.unpublished = arena.unpublished or command == "publish"
        change("-")(arena)

    return Way(f"ACL -{command}", refuse, change("+"), refused, sure, first=first or _nothing)


def _nothing(arena: Arena) -> None: ...


def _pairs(entry: Any) -> dict[str, Any]:
    if isinstance(entry, dict):
        return {_text(name): value for name, value in entry.items()}
    return {_text(name): value for name, value in zip(entry[::2], entry[1::2], strict=True)}


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def errors(word: str) -> Callable[[Arena], int]:
    """How often Redis has answered with an error that begins with this word."""

    def count(arena: Arena) -> int:
        return int(arena.redis.info("errorstats").get(f"errorstat_{word}", {"count": 0})["count"])

    return count


_BREAK = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
if ARGV[1] == 'list' then redis.call('RPUSH', KEYS[1], 'x') else redis.call('SET', KEYS[1], 'x') end
"""
_MEND = """
local function type_of(name) return redis.call('TYPE', name).ok end
if type_of(KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
local kind = type_of(KEYS[2])
if kind == 'none' then return end
if type_of(KEYS[1]) == 'none' then redis.call('RENAME', KEYS[2], KEYS[1]) return end
if kind == 'hash' then
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do redis.call('HSETNX', KEYS[1], all[i], all[i + 1]) end
elseif kind == 'zset' then
  local all = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do redis.call('ZADD', KEYS[1], 'NX', all[i + 1], all[i]) end
elseif kind == 'list' then
  for _, each in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do redis.call('RPUSH', KEYS[1], each) end
elseif kind == 'set' then
  for _, each in ipairs(redis.call('SMEMBERS', KEYS[2])) do redis.call('SADD', KEYS[1], each) end
elseif kind == 'string' then
  -- it was set anew
else
  error('cannot merge a ' .. kind)
end
redis.call('DEL', KEYS[2])
"""


def wrong_type(
    name: str,
    keys_of: Callable[[Arena], list[str]],
    *,
    kind: str = "string",
    quiet: bool = False,
) -> Way:
    """Keys are of another type for a while: the real ones are renamed, and others put in their places.

    Redis need not refuse anything for it: a script may look before it writes.
    """
    broken: list[str] = []

    def refuse(arena: Arena) -> None:
        broken[:] = keys_of(arena)
        for key in broken:
            arena.redis.eval(_BREAK, 2, key, BACKUP + key, kind)

    def mend(arena: Arena) -> None:
        for key in broken:
            arena.redis.eval(_MEND, 2, key, BACKUP + key, kind)

    return Way(f"key {name}", refuse, mend, errors("WRONGTYPE"), sure=False, quiet=quiet)


def configured(name: str, setting: str, value: int, word: str) -> Way:
    """A setting of Redis has it refuse what writes."""
    return Way(
        name,
        lambda arena: arena.redis.config_set(setting, value),
        lambda arena: arena.redis.config_set(setting, 0),
        errors(word),
        quiet=True,
    )


def held_keys(arena: Arena) -> list[str]:
    """Where the living workers hold their messages."""
    return [f"{DEFAULT_QUEUE}:unacked:{owner.decode()}" for owner in arena.living()]


def one_record(arena: Arena) -> list[str]:
    """The record of a job that is on its way."""
    job = arena.order("[[sys_error*2]]")
    key = f"{DEFAULT_QUEUE}:job:{job.id}"
    arena.send([job])
    until(lambda: arena.redis.exists(key), "the job's record")
    return [key]


def replica_of_nobody(arena: Arena) -> None:
    """Redis becomes the replica of a server that is not there: it keeps its data, and is read-only."""
    arena.redis.execute_command("REPLICAOF", "127.0.0.1", "1")


def _directory(arena: Arena) -> Path:
    return Path(arena.redis.config_get("dir")["dir"])


def fail_snapshot(arena: Arena) -> None:
    """A snapshot fails, for there is a directory in its place, and Redis is told to mind."""
    snapshot = _directory(arena) / "dump.rdb"
    snapshot.mkdir()
    (snapshot / "in the way").touch()
    arena.redis.config_set("save", "3600 1000000")
    arena.redis.bgsave()
    until(lambda: arena.redis.info("persistence")["rdb_last_bgsave_status"] == "err", "a snapshot to fail")


def mend_snapshot(arena: Arena) -> None:
    """A snapshot can be written again, and is."""
    snapshot = _directory(arena) / "dump.rdb"
    (snapshot / "in the way").unlink()
    snapshot.rmdir()
    arena.redis.bgsave()
    until(
        lambda: arena.redis.info("persistence")["rdb_last_bgsave_status"] == "ok", "a snapshot to be written"
    )


def fill_disk(arena: Arena) -> None:
    """The disk of Redis is filled; only if it is one of its own."""
    directory = _directory(arena)
    assert os.path.ismount(directory.parent), "left out: no disk could be mounted for Redis here"
    with (directory.parent / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"x" * 4096):
            pass


def free_disk(arena: Arena) -> None:
    """There is space on the disk again."""
    (_directory(arena).parent / "filler").unlink()
    time.sleep(0.1)
