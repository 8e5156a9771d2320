"""Requests in flight over real descriptors, connections that helpers open, what goes wrong with either."""

from __future__ import annotations

import errno
import math
import select
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.processing.fakes import ACCEPTED, HTTP_ACCEPTED, AtOnce, Clock, FakeClient
from worker.domain.outcome import Failure, Reply
from worker.processing.network import Network
from worker.processing.wakeup import Wakeup
from worker.vendor import Connection

REQUEST_ID = "4c1f4c39-6b4d-4a3c-8a45-000000000000"
REFUSED = Failure(sent=False, detail="refused")
LONG_S = 20.0


class Parts:
    """A network, and what it works with."""

    def __init__(self) -> None:
        self.client, self.helpers, self.wakeup = FakeClient(), AtOnce(), Wakeup()
        self.network: Network[str] = Network(self.client, self.helpers, self.wakeup)

    def open(self) -> Connection:
        """A connection to send over."""
        self.network.connect(1)
        link = self.network.link()
        assert isinstance(link, Connection)
        return link

    def send(self, name: str) -> None:
        self.network.send(name, self.open(), b"{}", REQUEST_ID)

    def answer(self, index: int = -1) -> None:
        self.client.theirs[index].sendall(HTTP_ACCEPTED)

    def hear(self) -> list[tuple[str, Reply | Failure]]:
        """The next answers, wakeups passed over."""
        for _ in range(5):
            if found := self.network.wait(LONG_S):
                return found
        raise AssertionError("no answer")


@pytest.fixture
def parts() -> Iterator[Parts]:
    parts = Parts()
    yield parts
    parts.client.close()
    parts.wakeup.close()


def test_an_answer_comes_with_what_it_is_for(parts: Parts) -> None:
    """And its connection serves the next request."""
    parts.send("one")
    assert parts.network.in_flight == 1
    parts.answer()
    assert parts.hear() == [("one", ACCEPTED)]
    assert parts.network.in_flight == 0
    assert isinstance(parts.network.link(), Connection)
    assert len(parts.client.theirs) == 1


def test_many_are_waited_for_together(parts: Parts) -> None:
    """Each has its own answer, in whatever order they come."""
    for name in ("one", "two", "three"):
        parts.send(name)
    parts.answer(2)
    assert parts.hear() == [("three", ACCEPTED)]
    parts.answer(0)
    parts.client.theirs[1].close()
    found = dict(parts.hear())
    while len(found) < 2:
        found |= parts.hear()
    assert found["one"] == ACCEPTED
    lost = found["two"]
    assert isinstance(lost, Failure)
    assert lost.sent


def test_a_piece_of_an_answer_is_not_one(parts: Parts) -> None:
    """The request stays in flight until the rest has come."""
    parts.send("one")
    parts.network.wait(0)
    parts.client.theirs[0].sendall(HTTP_ACCEPTED[:20])
    assert parts.network.wait(LONG_S) == []
    assert parts.network.in_flight == 1
    parts.client.theirs[0].sendall(HTTP_ACCEPTED[20:])
    assert parts.hear() == [("one", ACCEPTED)]


def test_what_cannot_be_sent_at_once_is_sent_when_there_is_room(parts: Parts) -> None:
    """The descriptor is waited at for both directions, and for answers alone once all is out."""
    link = parts.open()
    large = b"x" * 20_000_000
    parts.network.send("large", link, large, REQUEST_ID)
    theirs, received = parts.client.theirs[0], 0
    while received < len(large):
        received += len(theirs.recv(1 << 20))
        assert parts.network.wait(0) == []
    parts.answer()
    assert parts.hear() == [("large", ACCEPTED)]


def test_a_request_whose_time_is_up_has_a_failure_for_an_answer(parts: Parts) -> None:
    """It may have been taken all the same; another one's time goes on."""
    parts.send("late")
    ((_, late, _),) = parts.network._out.values()
    parts.send("other")
    late.fail(TimeoutError("timed out"))
    parts.network._look_at = late.deadline
    ((name, answer),) = parts.network.wait(LONG_S)
    assert isinstance(answer, Failure)
    assert (name, answer.sent, answer.timed_out) == ("late", True, True)
    assert parts.network.in_flight == 1


def test_a_failed_connection_is_the_answer_of_one_request(parts: Parts) -> None:
    """It is told at once, and nothing is waited for."""
    parts.client.opens = lambda: REFUSED
    parts.network.connect(1)
    assert parts.network.link() == REFUSED
    assert parts.network.link() is None
    parts.network.send("one", REFUSED, b"{}", REQUEST_ID)
    assert parts.network.in_flight == 1
    assert parts.network.wait(LONG_S) == [("one", REFUSED)]
    assert parts.network.in_flight == 0


def test_what_failed_serves_the_next_job_or_is_forgotten(parts: Parts) -> None:
    """An open connection goes before a failure; nobody is told of a failure once nobody waits."""
    parts.network.return_link(REFUSED)
    parts.network.return_link(parts.open())
    assert isinstance(parts.network.link(), Connection)
    assert parts.network.link() == REFUSED
    parts.network.return_link(REFUSED)
    parts.network.forget_failures()
    assert parts.network.link() is None


def test_a_failure_that_comes_when_nobody_waits_is_forgotten(parts: Parts) -> None:
    """It is no outcome of a job that comes long after; what was opened beside it is kept."""
    parts.client.opens = lambda: REFUSED
    parts.network.connect(1)
    parts.client.opens = parts.client.pair
    parts.network.connect(1)
    parts.network.forget_failures()
    assert isinstance(parts.network.link(), Connection)
    assert parts.network.link() is None


def test_as_many_are_being_opened_as_are_wanted(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are under way count."""
    begun: list[Any] = []
    monkeypatch.setattr(parts.helpers, "submit", lambda *call: begun.append(call))
    parts.network.connect(2)
    parts.network.connect(3)
    parts.network.connect(-1)
    assert (len(begun), parts.network.connecting) == (3, 3)
    for call, *arguments in begun:
        call(*arguments)
    assert parts.network.connecting == 0
    assert parts.network.wait(LONG_S) == [], "woken, for there is a connection"
    assert len(parts.client.theirs) == 3


def test_helpers_that_are_gone_are_this_machines_trouble(parts: Parts) -> None:
    """A job that needs a connection is told so; it does not wait for one that nobody opens."""
    parts.helpers.refuses = True
    parts.network.connect(1)
    link = parts.network.link()
    assert isinstance(link, Failure)
    assert (link.sent, link.local, parts.network.connecting) == (False, True, 0)


def test_what_a_pool_refused_and_did_all_the_same_counts_once(parts: Parts) -> None:
    """A pool that cannot start a thread has queued what it refuses, and another thread may come to it."""
    parts.helpers.refuses = parts.helpers.queues = True
    parts.network.connect(1)
    for late in parts.helpers.queued:
        late()
    assert parts.network.connecting == 0
    assert parts.client.theirs == [], "nobody waits for it any more"


def test_a_connection_that_is_closed_at_once_is_a_failed_one(parts: Parts) -> None:
    """Else a vendor's proxy that takes and drops all would have jobs connect for ever, without an outcome."""
    parts.network.connect(1)
    parts.client.theirs[0].close()
    link = parts.network.link()
    assert isinstance(link, Failure)
    assert not link.sent


def test_a_connection_that_was_open_for_long_says_nothing_of_the_vendor(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is dropped, and another one opened."""
    parts.network.connect(1)
    monkeypatch.setattr("worker.vendor.connection.IDLE_MAX_S", 0.0)
    assert parts.network.link() is None


def test_a_wakeup_ends_the_waiting(parts: Parts) -> None:
    """Once: what was not asked for since does not wake again."""
    parts.wakeup.set()
    assert parts.network.wait(LONG_S) == []
    assert not select.select([parts.wakeup], [], [], 0)[0]


def test_a_request_over_a_closed_connection_may_have_been_sent(parts: Parts) -> None:
    """Where it cannot be told it is not taken for unsent."""
    link = parts.open()
    link.close()
    parts.network.send("one", link, b"{}", REQUEST_ID)
    ((name, answer),) = parts.network.wait(LONG_S)
    assert isinstance(answer, Failure)
    assert (name, answer.sent, parts.network.in_flight) == ("one", True, 0)


def test_nothing_is_in_flight_that_was_not_sent(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault while sending leaves no request behind for whose answer a worker that stops would wait."""
    with pytest.raises(ValueError, match="ASCII"):
        parts.network.send("one", parts.open(), b"{}", "\N{SNOWMAN}")
    assert parts.network.in_flight == 0


def test_an_answer_outlives_a_fault_that_comes_after_it(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was paid for, so it comes at once: who hears no more after a fault has it all the same."""
    parts.send("one")
    parts.network.wait(0)
    parts.answer()
    monkeypatch.setattr(parts.client, "keep", lambda _: 1 / 0)
    assert parts.hear() == [("one", ACCEPTED)]
    assert parts.network.in_flight == 0
    assert "ZeroDivisionError" in caplog.text


def test_a_fault_before_which_nothing_came_is_raised(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known before comes first, and the fault with the next waiting."""
    parts.send("one")
    parts.network.wait(0)
    parts.network.send("unsent", REFUSED, b"{}", REQUEST_ID)
    monkeypatch.setattr(parts.network, "_poll", Poll(errno.ENOMEM))
    assert parts.network.wait(LONG_S) == [("unsent", REFUSED)]
    with pytest.raises(OSError, match="refused"):
        parts.network.wait(LONG_S)
    assert parts.network.in_flight == 1


class Poll:
    """Refuses to poll more descriptors than are allowed."""

    def __init__(self, error: int) -> None:
        self._error = error

    def poll(self, _: Any) -> Any:
        raise OSError(self._error, "refused")

    def unregister(self, _: Any) -> None:
        pass


def test_a_lowered_limit_of_open_files_loses_no_answer(
    parts: Parts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What poll refuses to look at together is looked at one by one."""
    parts.send("one")
    parts.send("two")
    parts.network.wait(0)
    parts.answer(0)
    parts.wakeup.set()
    monkeypatch.setattr(parts.network, "_poll", Poll(errno.EINVAL))
    assert parts.network.wait(LONG_S) == [("one", ACCEPTED)]
    assert not select.select([parts.wakeup], [], [], 0)[0]


def test_what_else_poll_raises_is_a_fault(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody thought of it: the loop ends by it."""
    monkeypatch.setattr(parts.network, "_poll", Poll(errno.EBADF))
    with pytest.raises(OSError, match="refused"):
        parts.network.wait(LONG_S)


def test_who_waits_without_end_is_woken_all_the_same(parts: Parts) -> None:
    """There need be no request for it."""
    parts.wakeup.set()
    assert parts.network.wait(math.inf) == []


def test_a_link_on_which_something_came_is_not_usable(parts: Parts) -> None:
    """What was there before the request would be read as its answer. A failure stays what it is."""
    parts.network.connect(1)
    link = parts.network.link()
    assert link is not None
    assert parts.network.is_usable(link)
    parts.client.theirs[0].sendall(HTTP_ACCEPTED)
    assert not parts.network.is_usable(link)
    assert parts.network.is_usable(Failure(sent=False, detail="refused"))
