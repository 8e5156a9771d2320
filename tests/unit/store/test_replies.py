"""A reply that cannot be the answer to a call is told from one that can be."""

from __future__ import annotations

from typing import Any

import pytest

from worker.store.replies import CHECKS, may_answer

ID = b"0123456789abcdef"
CLAIM = ("a-job", "owner", ID, "", "TEXT2IMAGE", "{}", 0)
GRANTED = [b"go", 0, 0, b"0", 12, 0, 0, 0, ID]
GOOD: dict[str, tuple[tuple[Any, ...], list[Any]]] = {
    "claim": (
        CLAIM,
        [
            GRANTED,
            [b"wait", 1, 2, b"1", 5, 250, 1, 0, ID],
            [b"repeated", 1, 0, b"0", 5, 0, 0, 2, ID, b"accepted", 9, b"task-1", ID],
        ],
    ),
    "settle": (("a-job",), [[b"settled", b"a-job"], [b"already", b"a-job", 1]]),
    "reschedule": (("a-job",), [[b"rescheduled", b"a-job"], [b"stale", b"a-job"]]),
    "republish": (("a-job",), [[b"published", b"a-job"], [b"changed", b"a-job"]]),
    "take": (("owner", 2, 0, 0), [None, [], [b"1.0", b"{}"], [b"1.0", b"{}", b"1.1", b"{}"]]),
    "heartbeat": (("owner",), [0, 1]),
    "promote": ((200,), [[0, -1, 0, 0, -1, b""], [3, 250, 1, 0, 5000, b"AIGC_NOT_SENT: why"]]),
    "takeover": (("owner", ""), [[-1, 0], [2, 1]]),
    "withdraw": (("a-job",), [0, 1]),
    "quarantine": (("owner",), [0, 1]),
    "backlog": (("TEXT2IMAGE",), [1]),
    "slow_down": ((0, "{}", 100), [1]),
    "finish": ((50,), [0, 50]),
    "release": (("owner", "1.1"), [0, 1, 50]),
    "acknowledge": (("owner", "1.1"), [0, 1]),
    "follow": (("a-job",), [0, 1]),
    "followed_up": (("a-job",), [0, 1]),
    "prune": ((60, 200), [0, 200]),
    "unkept": (("a", "b"), [[], [b"b"], [b"a", b"b"]]),
    "dead_letters_from": (("", "", ""), [[], [b"unknown", b"12", b"a-job", b"{}"]]),
    "sample": (("", 55_000, 1600), [0, 1]),
    "resolve": (("a-job",), [0, 1]),
    "replay": (("a-job",), [-2, -1, 0, 1]),
    "enqueue_event": (("{}", *"abcdef"), [[b"queued", 0, b"a-job"], [b"seen", 0], [b"outdated", 0]]),
    "take_tasks": ((5,), [[1, -1], [1, 0, [b"task", 1, 0, 5, *16 * [None]], [b"task-2", b"WRONGTYPE"]]]),
    "postpone_task": (("a-task", 1, 0), [0, 1]),
    "end_task": (("a-task", 1), [[b"ended", b"a-task"], [b"stale", b"a-task"]]),
    "adopt_task": (("a-task",), [[b"adopted", b"a-task"], [b"open", b"a-task"]]),
    "forget_task": (("a-task",), [[b"forgotten", b"a-task"], [b"given-up", b"a-task"]]),
    "amend_output": (("a-task",), [[b"amended", b"a-task"], [b"changed", b"a-task"]]),
}
ANYTHING = [b"OK", b"PONG", -2, 10**20, 1.5, True, [], [b"settled"], [b"go"], {}, [[b"go"]]]


@pytest.mark.parametrize("name", CHECKS)
def test_what_a_script_answers_passes(name: str) -> None:
    """Each script's own replies do, for the call that they answer."""
    args, replies = GOOD[name]
    assert [may_answer(name, args, reply) for reply in replies] == [True] * len(replies)


@pytest.mark.parametrize("name", CHECKS)
def test_the_replies_to_other_commands_do_not(name: str) -> None:
    """Nor do those of scripts whose replies are of another form."""
    args, own = GOOD[name]
    passed = [reply for reply in ANYTHING if may_answer(name, args, reply) and reply not in own]
    assert passed == []


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("claim", [*GRANTED[:8], b"another claim's."]),
        ("claim", [b"settled?", *GRANTED[1:]]),
        ("claim", GRANTED[:8]),
        ("settle", [b"settled", b"another-job"]),
        ("settle", [b"rescheduled", b"a-job"]),
        ("reschedule", [b"settled", b"a-job"]),
        ("take", [b"1.0", b"{}"] * 3),
        ("take", [b"1.0"]),
    ],
)
def test_the_answer_to_another_call_does_not(name: str, reply: Any) -> None:
    """On a connection that is out of step a claim could be granted by another job's."""
    assert not may_answer(name, GOOD[name][0], reply)
