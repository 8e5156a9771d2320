"""What each script may answer.

Anything else is not the answer to the call: a proxy's words, or the reply to another command on a connection
that has come out of step. Taking it for one could send a job that is not ours, so the connection is dropped
and the call made again. `claim`, `settle`, `reschedule` and `republish` say whose answer it is, beside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from worker.store.keys import DEAD_LETTER_STATES
from worker.store.values import ClaimVerdict

SETTLED: Final = frozenset(
    {b"settled", b"already", b"late", b"stale", b"paid-twice", b"repeated", b"ignored", b"in-doubt"}
)
REPUBLISHED: Final = frozenset({b"published", b"already", b"changed"})
RESCHEDULED: Final = frozenset({b"rescheduled", b"stale", b"cancelled"})
_VERDICTS: Final = frozenset(verdict.encode() for verdict in ClaimVerdict)

TASK_ENDED: Final = frozenset({b"ended", b"already", b"stale", b"left"})
ADOPTED: Final = frozenset({b"adopted", b"open", b"ended"})
FORGOTTEN: Final = frozenset({b"forgotten", b"given-up", b"ended", b"unknown"})
AMENDED: Final = frozenset({b"amended", b"already", b"changed"})

EVENT_VERDICTS: Final = frozenset({b"queued", b"seen", b"outdated"})

TASK_LENGTH: Final = 20
"""Of a task that `take_tasks` gives: its id, three numbers, and what its record has."""

_INTEGERS: Final = {int}

Check = Callable[[Any, Sequence[Any]], bool]
"""Whether a reply may be the answer to a call with these arguments."""


def _claim(reply: Any, args: Sequence[Any]) -> bool:
    return (
        isinstance(reply, list)
        and (len(reply) == 9 or (len(reply) == 13 and _is_past(reply[9:])))
        and reply[0] in _VERDICTS
        and reply[8] == args[2]
        and reply[3] in (b"0", b"1")
        and {type(number) for number in (reply[1], reply[2], *reply[4:8])} == _INTEGERS
    )


def _is_past(past: list[Any]) -> bool:
    state, second, task_id, request_id = past
    return type(second) is int and all(type(each) is bytes for each in (state, task_id, request_id))


def _some_of_them(reply: Any, args: Sequence[Any]) -> bool:
    asked = {each.encode() if isinstance(each, str) else each for each in args}
    return isinstance(reply, list) and all(type(each) is bytes for each in reply) and asked.issuperset(reply)


def _of_job(verdicts: frozenset[bytes]) -> Check:
    def check(reply: Any, args: Sequence[Any]) -> bool:
        return (
            isinstance(reply, list)
            and 2 <= len(reply) <= 3
            and reply[0] in verdicts
            and reply[1] == str(args[0]).encode()
        )

    return check


def _number(low: int, high: int = 2**53) -> Check:
    return lambda reply, _: type(reply) is int and low <= reply <= high


def _numbers(count: int) -> Check:
    def check(reply: Any, _: Sequence[Any]) -> bool:
        return (
            isinstance(reply, list) and len(reply) == count and all(type(number) is int for number in reply)
        )

    return check


def _promoted(reply: Any, args: Sequence[Any]) -> bool:
    is_six = isinstance(reply, list) and len(reply) == 6
    return is_six and type(reply[5]) is bytes and _numbers(5)(reply[:5], args)


def _taken(reply: Any, args: Sequence[Any]) -> bool:
    if reply is None:
        return True
    return (
        isinstance(reply, list)
        and len(reply) % 2 == 0
        and len(reply) <= 2 * args[1]
        and all(type(each) is bytes for each in reply)
        and all(tag.count(b".") == 1 for tag in reply[::2])
    )


def _enqueued(reply: Any, args: Sequence[Any]) -> bool:
    if not (
        isinstance(reply, list) and len(reply) >= 2 and reply[0] in EVENT_VERDICTS and type(reply[1]) is int
    ):
        return False
    holders = (len(args) - 1) // 6 if reply[0] == b"queued" else 0
    return len(reply) == 2 + holders and all(type(each) is bytes for each in reply[2:])


def _tasks_taken(reply: Any, args: Sequence[Any]) -> bool:
    return (
        isinstance(reply, list)
        and 2 <= len(reply) <= 2 + args[0]
        and {type(number) for number in reply[:2]} == _INTEGERS
        and all(map(_is_task, reply[2:]))
    )


def _is_task(task: Any) -> bool:
    if not isinstance(task, list) or not task or type(task[0]) is not bytes:
        return False
    if len(task) == 2:
        return type(task[1]) is bytes
    return len(task) == TASK_LENGTH and {type(number) for number in task[1:4]} == _INTEGERS


def _letters(reply: Any, _: Sequence[Any]) -> bool:
    """Of each dead letter its state, its second, its job and its result."""
    return (
        isinstance(reply, list)
        and len(reply) % 4 == 0
        and all(type(each) is bytes for each in reply)
        and all(state.decode("latin-1") in DEAD_LETTER_STATES for state in reply[::4])
    )


CHECKS: Final[dict[str, Check]] = {
    "claim": _claim,
    "settle": _of_job(SETTLED),
    "reschedule": _of_job(RESCHEDULED),
    "republish": _of_job(REPUBLISHED),
    "take": _taken,
    "heartbeat": _number(0, 1),
    "promote": _promoted,
    "takeover": _numbers(2),
    "withdraw": _number(0, 1),
    "quarantine": _number(0, 1),
    "backlog": _number(1, 1),
    "slow_down": _number(1, 1),
    "finish": _number(0),
    "release": _number(0),
    "acknowledge": _number(0, 1),
    "follow": _number(0, 1),
    "followed_up": _number(0, 1),
    "prune": _number(0),
    "sample": _number(0, 1),
    "dead_letters_from": _letters,
    "unkept": _some_of_them,
    "resolve": _number(0, 1),
    "replay": _number(-2, 1),
    "enqueue_event": _enqueued,
    "take_tasks": _tasks_taken,
    "postpone_task": _number(0, 1),
    "end_task": _of_job(TASK_ENDED),
    "adopt_task": _of_job(ADOPTED),
    "forget_task": _of_job(FORGOTTEN),
    "amend_output": _of_job(AMENDED),
}
"""By the script's name; all there are."""


def may_answer(name: str, args: Sequence[Any], reply: Any) -> bool:
    """Whether the script can have answered so when called with these arguments."""
    return CHECKS[name](reply, args)
