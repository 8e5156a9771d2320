"""What a Redis that refuses, or what stands in its place, may answer.

The words are those of Redis 7.0 and 7.2 and of Valkey 9, as they answer a command and a script's call inside.
"""

from __future__ import annotations

from random import Random
from typing import Final

_RDB: Final = (
    " is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may"
    " modify the data set are disabled, because this instance is configured to report errors during writes"
    " if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details"
    " about the RDB error."
)
_OF_SHA: Final = " script: 5f8a6c2f0b9d4e1c8f7a3b2d1e0c9f8a7b6d5e4f, on @user_script:12."
_INSIDE: Final = " script: on @user_script:12."

ERRORS: Final[dict[str, tuple[str, ...]]] = {
    "OOM": (
        "OOM command not allowed when used memory > 'maxmemory'.",
        f"OOM command not allowed when used memory > 'maxmemory'.{_OF_SHA}",
    ),
    "WRONGTYPE": (
        f"WRONGTYPE Operation against a key holding the wrong kind of value{_OF_SHA}",
        f"WRONGTYPE Operation against a key holding the wrong kind of value{_INSIDE}",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    ),
    "NOPERM": (
        "NOPERM User worker has no permissions to run the 'evalsha' command",
        "NOPERM this user has no permissions to access one of the keys used as arguments",
        f"ERR The user executing the script can't run this command or subcommand{_OF_SHA}",
        f"ERR ACL failure in script: User worker has no permissions to run the 'xadd' command{_INSIDE}",
    ),
    "READONLY": (
        "READONLY You can't write against a read only replica.",
        f"READONLY You can't write against a read only replica.{_OF_SHA}",
    ),
    "MISCONF": (
        f"MISCONF Redis{_RDB}",
        "MISCONF Errors writing to the AOF file: No space left on device",
        f"MISCONF Errors writing to the AOF file: No space left on device{_OF_SHA}",
    ),
    "NOREPLICAS": (
        "NOREPLICAS Not enough good replicas to write.",
        f"NOREPLICAS Not enough good replicas to write.{_OF_SHA}",
    ),
    "LOADING": ("LOADING Redis is loading the dataset in memory",),
    "BUSY": ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",),
    "NOSCRIPT": ("NOSCRIPT No matching script. Please use EVAL.",),
    "MASTERDOWN": ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",),
    "CROSSSLOT": ("CROSSSLOT Keys in request don't hash to the same slot",),
    "unheard": ("ERR something nobody has heard of", "SOMETHING nobody has heard of", "ERR"),
}
"""Error answers, by the name that a scenario gives them."""

GARBAGE: Final = (
    b"\x00\xff\xfenot a reply\r\n",
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    b"$x\r\nabc\r\n",
)

NO_REPLY: Final = ("garbage", "half", "silence")
"""Bytes that are no reply, half a reply before the connection ends, and none for as long as it lasts."""

FOREIGN: Final = "foreign"
"""A well-formed reply, but one that another command would get."""

ANSWERS: Final = (*ERRORS, *NO_REPLY, FOREIGN)

_INTEGER, _STATUS, _NIL, _NONE = b":1\r\n", b"+OK\r\n", b"$-1\r\n", b"*0\r\n"
_SETTLED, _RESCHEDULED, _WRONG_WORD = b"$7\r\nsettled\r\n", b"$11\r\nrescheduled\r\n", b"$4\r\nPONG\r\n"
_PROMOTED, _TAKEN_OVER = b"*3\r\n:0\r\n:-1\r\n:0\r\n", b"*2\r\n:0\r\n:0\r\n"
_CLAIMED = b"*7\r\n$2\r\ngo\r\n:0\r\n:0\r\n$1\r\n0\r\n:0\r\n:0\r\n:0\r\n"

_OF_OTHERS: Final[dict[str, tuple[bytes, ...]]] = {
    "take": (_INTEGER, _STATUS, _SETTLED, _CLAIMED, _PROMOTED),
    "claim": (_INTEGER, _STATUS, _NIL, _NONE, _RESCHEDULED, _PROMOTED, _TAKEN_OVER),
    "settle": (_INTEGER, _STATUS, _NIL, _NONE, _RESCHEDULED, _CLAIMED),
    "reschedule": (_INTEGER, _STATUS, _NIL, _NONE, _SETTLED, _CLAIMED),
    "promote": (_INTEGER, _STATUS, _NIL, _NONE, _TAKEN_OVER, _CLAIMED),
    "takeover": (_INTEGER, _STATUS, _NIL, _NONE, _SETTLED, _CLAIMED),
}
_OF_NUMBERS: Final = (_STATUS, _NONE, _SETTLED, _PROMOTED, _WRONG_WORD)
"""For all that answers with a number: another number would be a lie that nobody can know for one."""


def error(name: str, rng: Random) -> bytes:
    """An error answer of this name."""
    return f"-{rng.choice(ERRORS[name])}\r\n".encode()


def foreign(script: str, rng: Random) -> bytes:
    """A reply that this script never gives."""
    return rng.choice(_OF_OTHERS.get(script, _OF_NUMBERS))
