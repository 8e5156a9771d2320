"""How scripts are sent: many in one write, and a connection out of step is never used again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis.connection import Connection
from redis.exceptions import ResponseError

from worker.store.redis_wait import UnexpectedReply
from worker.store.scripts import Scripts

Reply = Any


class Wire(Connection):
    """A connection to nobody: what is sent is kept, and what is to be read was given before."""

    def __init__(self, replies: Iterator[Reply]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.replies = replies
        self.sent: list[bytes] = []
        self.dropped = 0

    def send_command(self, *args: Any, **kwargs: Any) -> None:
        self.sent.append(b"".join(self.pack_command(*args)))  # type: ignore[no-untyped-call]

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        self.sent.append(b"".join(command))

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        reply = next(self.replies)
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def disconnect(self, *args: Any) -> None:
        self.dropped += 1


Connected = Callable[..., tuple[Scripts, Wire]]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Connected:
    """Scripts over a wire with these replies, the loading of a script apart."""

    def connect(*replies: Reply) -> tuple[Scripts, Wire]:
        scripts, wire = Scripts("redis://nowhere", ("queue", "results"), 2), Wire(iter((b"digest", *replies)))
        monkeypatch.setattr(scripts, "_connection", lambda: wire)
        return scripts, wire

    return connect


PRUNE = ("prune", (60, 200))


def test_calls_go_out_together_and_their_answers_are_in_order(connected: Connected) -> None:
    """In one write after the script was loaded; a refusal among them is a value."""
    scripts, wire = connected(1, ResponseError("no"), 3)
    first, second, third = scripts.run_all([PRUNE] * 3)
    assert (first, str(second), third) == (1, "no", 3)
    assert [text.count(b"EVALSHA") for text in wire.sent] == [0, 3]
    assert b"$5\r\nqueue\r\n$7\r\nresults\r\n$2\r\n60\r\n$3\r\n200\r\n" in wire.sent[1]
    assert wire.dropped == 0


@pytest.mark.parametrize("fault", [ValueError("garbage"), KeyboardInterrupt(), TimeoutError()])
def test_a_connection_whose_answers_were_not_all_read_is_dropped(
    connected: Connected, fault: BaseException
) -> None:
    """What is left on it would be taken for the answer to the next call."""
    scripts, wire = connected(1, fault, 3)
    with pytest.raises((UnexpectedReply, KeyboardInterrupt, TimeoutError)):
        scripts.run_all([PRUNE] * 3)
    assert wire.dropped == 1


def test_an_answer_that_the_script_cannot_give_drops_the_connection(connected: Connected) -> None:
    """It is somebody else's."""
    scripts, wire = connected(b"PONG")
    with pytest.raises(UnexpectedReply, match="not an answer to prune"):
        scripts.run("prune", 60, 200)
    assert wire.dropped == 1
