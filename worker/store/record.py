"""A job's record: what each of its fields is called and means, in Python and in Lua.

The fields' names in Redis are short, for there is a record of every job of the last days.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tasks.contract import Status

STATE_OF: Final[dict[Status, str]] = {
    "submitted": "accepted",
    "rejected": "rejected",
    "exhausted": "exhausted",
    "unknown": "unknown",
    "cancelled": "cancelled",
}
"""The state of a record whose job ended so."""

ENDED_STATES: Final = tuple(STATE_OF.values())
OPEN_STATES: Final = ("reserved", "sending", "waiting", "orphan")
"""The others. A record in a state that is none of both is a later version's, and left to its workers."""

_STATUS_OF: Final = {state: status for status, state in STATE_OF.items()}


def status_of(state: str) -> Status | None:
    """The result's status of a job whose record is in this state; None where it has not ended."""
    return _STATUS_OF.get(state)


class Field(NamedTuple):
    """A field of the record: its name in Redis, and what it means."""

    stored: str
    means: str


FIELDS: Final = {
    "state": Field("s", "reserved, sending, waiting, orphan, or how it ended"),
    "attempts": Field("n", "attempts that count"),
    "uncounted": Field("u", "attempts that do not: nothing was sent, or the vendor throttled"),
    "excused": Field(
        "x", "of those that count, how many an outage spoiled: they do not use up the job's attempts"
    ),
    "request_ids": Field("r", "of all attempts, 16 bytes each, the last one's being the fencing token"),
    "owner": Field("o", "the worker that is sending it"),
    "slot": Field("w", "ms of the slot that it was given in the schedule of posts"),
    "enqueued_ms": Field("e", "when it was queued, or queued again by an operator"),
    "finished_s": Field("f", "when it ended"),
    "task_id": Field("k", "the vendor's, once it accepted"),
    "more_task_ids": Field(
        "k2", "the vendor's for other attempts that it accepted as well, a line each: paid twice"
    ),
    "possible_duplicate": Field("d", "1 where an earlier attempt may have been accepted"),
    "answer": Field("b", "what the vendor said where that leaves open whether it accepted"),
    "backlog_digest": Field("m", "SHA-1 of its message in its workflow's backlog, for a job out of a batch"),
    "left_steps": Field("p", "steps that Redis refused, still to be done"),
    "left_arguments": Field("j", "their arguments"),
    "keep_s": Field("l", "of a held job: for how long its record is kept once somebody has decided"),
    "result": Field("y", "its result, where callbacks hang on it that are yet to be sent"),
    "followed_up": Field("h", "which of its callbacks and errbacks were sent"),
    "following": Field("q", "which of them are being sent, and for which message"),
    "closed_ms": Field("z", "when it ended, in ms; a message that is stamped later was sent after its end"),
    "refusals": Field(
        "g", "how often the vendor refused it, and no others, by a code that its page does not name"
    ),
    "again_ms": Field(
        "a", "stamp of the message by which it was submitted again after an end, and ran again"
    ),
    "cancel_asked_ms": Field("c", "when it was cancelled, or revoked: no attempt is made any more"),
    "result_entry": Field("i", "the entry of its last result in the results' stream"),
    "batch": Field("v", "the batches in which it was submitted since it runs, with blanks between"),
    "dedupe": Field("t", "SHA-256 of the dedupe key that it was given, and the second until which it holds"),
    "asked_by_others": Field(
        "t2", "1 where another one was told that this job holds its dedupe key, before it was begun"
    ),
}
"""All there are, by what Python and Lua call them."""


def readable(record: dict[bytes, bytes]) -> dict[str, Any]:
    """What people and the worker read of a record, by the fields' names."""
    if not record:
        return {}
    found = {
        name: record[stored.encode()] for name, (stored, _) in FIELDS.items() if stored.encode() in record
    }
    packed = found.get("request_ids", b"")
    return {
        "state": found.get("state", b"reserved").decode(),
        "attempts": int(found.get("attempts", 0)),
        "request_ids": [str(uuid.UUID(bytes=packed[i : i + 16])) for i in range(0, len(packed), 16)],
        "task_id": found["task_id"].decode() if "task_id" in found else None,
        "possible_duplicate": found.get("possible_duplicate") == b"1",
        "owner": found.get("owner", b"").decode() or None,
        "enqueued_ms": int(found["enqueued_ms"]) if "enqueued_ms" in found else None,
        "finished_s": int(found["finished_s"]) if "finished_s" in found else None,
        **({"cancel_asked_ms": int(found["cancel_asked_ms"])} if "cancel_asked_ms" in found else {}),
        **({"answer": found["answer"].decode("utf-8", "replace")} if "answer" in found else {}),
    }


def lua_fields(names: Iterable[str]) -> str:
    """Lua that has the stored names of these fields, as ``field``, and knows when a job has ended, and which
    states only a later version can have written."""
    stored = ", ".join(f"{name} = '{FIELDS[name].stored}'" for name in names)
    return (
        f"local field = {{{stored}}}\n"
        f"local function has_ended(state) return {_is_one_of(ENDED_STATES)} end\n"
        f"local function is_of_later_version(state)\n"
        f"  return state and not (has_ended(state) or {_is_one_of(OPEN_STATES)})\nend\n"
    )


def _is_one_of(states: Iterable[str]) -> str:
    return " or ".join(f"state == '{state}'" for state in states)
