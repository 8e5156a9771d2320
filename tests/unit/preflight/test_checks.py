"""Checks under way: each URL once for a while, a few at a time, and no host holds up the others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from worker.preflight.checks import Busy, Checks, Known, Pending
from worker.preflight.hosts import DOWN_FOR_S, LEFT_ALONE_MOST_S
from worker.preflight.known import CERTAIN_FOR_S, GOOD_FOR_S, KNOWN_MOST, TRANSIENT_FOR_S, KnownFaults
from worker.preflight.values import Code, Fault

NO_PICTURE = Fault(Code.FORMAT, "is webp")
AWAY = Fault(Code.UNREACHABLE, "its host does not answer in time", certain=False, of_host=True)
PATIENCE_S = 20.0


class Desk:
    """Checks among hosts that answer when the test lets them; its clock is the test's."""

    def __init__(self, **bounds: int) -> None:
        self.now = 1000.0
        self.asked: Counter[str] = Counter()
        self.faults: dict[str, Fault] = {}
        self.held: dict[str, threading.Event] = {}
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.told: dict[str, Fault | None] = {}
        self._changed = threading.Condition()
        self.checks = Checks(self._check, clock=lambda: self.now, **bounds)

    def _check(self, url: str) -> Fault | None:
        host = url.split("/")[2]
        with self._lock:
            self.asked[url] += 1
            for each in (host, "all"):
                self.running[each] += 1
                self.most[each] = max(self.most[each], self.running[each])
        with self._changed:
            self._changed.notify_all()
        if host in self.held:
            assert self.held[host].wait(PATIENCE_S)
        with self._lock:
            for each in (host, "all"):
                self.running[each] -= 1
        with self._changed:
            self._changed.notify_all()
        return self.faults.get(host)

    def ask(self, url: str) -> Known | Pending | Busy:
        def tell(fault: Fault | None) -> None:
            with self._changed:
                self.told[url] = fault
                self._changed.notify_all()

        return self.checks.ask(url, tell, at=0.0)

    def until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S)

    def hold(self, host: str) -> threading.Event:
        self.held[host] = threading.Event()
        return self.held[host]


def urls(host: str, count: int) -> list[str]:
    return [f"http://{host}/{i}.jpg" for i in range(count)]


def test_a_thousand_askers_of_a_url_share_one_check() -> None:
    """Those that come while it is under way, and those that come after it."""
    desk = Desk()
    heard: list[Fault | None] = []
    go_on = desk.hold("a.example")
    for _ in range(1000):
        assert isinstance(desk.checks.ask("http://a.example/x.jpg", heard.append, at=0.0), Pending)
    desk.until(lambda: desk.asked.total() == 1)
    go_on.set()
    desk.ask("http://b.example/y.jpg")
    desk.until(lambda: bool(desk.told))
    desk.until(lambda: isinstance(desk.ask("http://a.example/x.jpg"), Known))
    assert desk.ask("http://a.example/x.jpg") == Known(None)
    assert desk.asked["http://a.example/x.jpg"] == 1
    assert heard == [None] * 1000


@pytest.mark.parametrize(
    ("fault", "good_for_s"),
    [
        (None, GOOD_FOR_S),
        (NO_PICTURE, CERTAIN_FOR_S),
        (Fault(Code.UNREACHABLE, "HTTP 503", certain=False), TRANSIENT_FOR_S[0]),
    ],
)
def test_an_answer_holds_for_a_while(fault: Fault | None, good_for_s: float) -> None:
    """A good one longest; afterwards the URL is asked for again."""
    desk, url = Desk(), "http://a.example/x.jpg"
    if fault:
        desk.faults["a.example"] = fault
    desk.ask(url)
    desk.until(lambda: url in desk.told)
    assert desk.told[url] == fault
    desk.now += good_for_s - 1
    assert desk.ask(url) == Known(fault)
    desk.now += 1
    assert isinstance(desk.ask(url), Pending)
    desk.until(lambda: desk.asked[url] == 2)


def test_a_host_gets_a_few_threads_and_leaves_the_others_to_others() -> None:
    """As many at a time as are set, in all and for each host."""
    desk = Desk(threads=6, per_host=4, queued_most=100)
    slow = desk.hold("slow.example")
    for url in urls("slow.example", 50):
        desk.ask(url)
    desk.until(lambda: desk.running["slow.example"] == 4)
    for url in urls("quick.example", 50):
        desk.ask(url)
    desk.until(lambda: len(desk.told) == 50)
    assert all("quick" in url for url in desk.told)
    slow.set()
    desk.until(lambda: len(desk.told) == 100)
    assert desk.most["slow.example"] == 4
    assert desk.most["all"] <= 6


def test_a_host_that_has_been_slow_gets_fewer_threads() -> None:
    """Or a few such hosts would have all of them."""
    desk = Desk(per_host=8)
    slow = desk.hold("slow.example")
    desk.ask("http://slow.example/first.jpg")
    desk.until(lambda: desk.running["slow.example"] == 1)
    desk.now += 60
    slow.set()
    desk.until(lambda: len(desk.told) == 1)
    slow.clear()
    for url in urls("slow.example", 10):
        desk.ask(url)
    desk.until(lambda: desk.running["slow.example"] == 2)
    slow.set()
    desk.until(lambda: len(desk.told) == 11)
    assert desk.most["slow.example"] == 2


def test_who_asks_a_busy_host_is_told_to_come_later_each_at_a_time_of_its_own() -> None:
    """So nobody has to wait in the worker's hands, and none comes in vain with all the others."""
    desk = Desk(per_host=2, queued_most=5)
    go_on = desk.hold("a.example")
    answers = [desk.ask(url) for url in urls("a.example", 2)]
    desk.until(lambda: desk.running["a.example"] == 2)  # else these two, too, would count as queued
    answers += [desk.ask(url) for url in urls("a.example", 7)[2:]]
    assert all(isinstance(answer, Pending) for answer in answers)
    later = [desk.ask(url) for url in urls("a.example", 100)[50:]]
    times = [answer.after_s for answer in later if isinstance(answer, Busy)]
    assert len(times) == 50
    assert all(earlier < after for earlier, after in pairwise(times))
    assert isinstance(desk.ask("http://b.example/x.jpg"), Pending)
    go_on.set()
    desk.until(lambda: len(desk.told) == 8)


def test_urls_of_a_host_that_does_not_answer_are_not_all_tried() -> None:
    """After two in a row the others are answered alike, for a while."""
    desk = Desk(per_host=1, queued_most=1000)
    desk.faults["dead.example"] = AWAY
    answers = desk.hold("dead.example")
    for url in urls("dead.example", 500):
        desk.ask(url)
    answers.set()
    desk.until(lambda: len(desk.told) == 500)
    assert desk.asked.total() == 2
    assert set(desk.told.values()) == {AWAY}
    assert desk.ask("http://dead.example/new.jpg") == Known(AWAY)
    desk.now += DOWN_FOR_S
    assert isinstance(desk.ask("http://dead.example/new.jpg"), Pending)


def test_a_host_that_says_when_to_ask_again_is_left_alone_until_then() -> None:
    """Its other URLs, too, those that wait already among them, but for no longer than a minute."""
    desk = Desk(per_host=1)
    busy = Fault(Code.UNREACHABLE, "is answered HTTP 429", certain=False, retry_after_s=30.0)
    desk.faults["a"] = busy
    go = desk.hold("a")
    assert all(isinstance(desk.ask(f"https://a/{n}"), Pending) for n in range(3))
    go.set()
    desk.until(lambda: len(desk.told) == 3)
    assert desk.asked.total() == 1
    desk.now += 29.0
    assert [desk.ask(f"https://a/{n}") for n in range(5)] == [Known(busy)] * 5
    desk.now += 2.0
    desk.faults["a"] = Fault(Code.UNREACHABLE, "is answered HTTP 503", certain=False, retry_after_s=9e9)
    assert isinstance(desk.ask("https://a/9"), Pending)
    desk.until(lambda: "https://a/9" in desk.told)
    desk.now += LEFT_ALONE_MOST_S + 1
    assert isinstance(desk.ask("https://a/10"), Pending)
    assert isinstance(desk.ask("https://a/9"), Known)


def test_a_fault_of_ours_ends_no_thread_and_rejects_no_job() -> None:
    """It counts as transient."""
    done = threading.Event()

    def check(url: str) -> Fault | None:
        raise RuntimeError("a bug")

    heard: list[Fault | None] = []

    def tell(fault: Fault | None) -> None:
        heard.append(fault)
        done.set()

    Checks(check).ask("http://a.example/x.jpg", tell, at=0.0)
    assert done.wait(PATIENCE_S)
    (fault,) = heard
    assert fault is not None
    assert not fault.certain


def test_once_closed_it_begins_nothing() -> None:
    """What is queued stays undone, and nobody is told."""
    desk = Desk(threads=1)
    go_on = desk.hold("a.example")
    for url in urls("a.example", 3):
        desk.ask(url)
    desk.until(lambda: desk.asked.total() == 1)
    desk.checks.close()
    go_on.set()
    desk.until(lambda: desk.running.total() == 0)
    assert isinstance(desk.ask("http://b.example/x.jpg"), Busy)
    assert desk.asked.total() == 1
    assert desk.told == {}


def test_an_expired_url_is_not_asked_for() -> None:
    """It is known without that, each time anew."""
    desk = Desk()
    url = "http://a.example/x.jpg?Expires=1000&Signature=s"
    found = desk.checks.ask(url, lambda _: None, at=5000.0)
    assert isinstance(found, Known)
    assert found.fault is not None
    assert found.fault.code is Code.URL_EXPIRED
    assert isinstance(desk.ask(url), Pending)


def test_what_fails_again_and_again_is_tried_less_often() -> None:
    """Up to a minute; one good answer, and it begins anew."""
    known, fault = KnownFaults(), Fault(Code.UNREACHABLE, "HTTP 503", certain=False)
    for seconds in (2, 4, 8, 16, 32, 60, 60):
        known.note(b"x", fault, 0.0)
        assert known.get(b"x", seconds - 0.1)
        assert not known.get(b"x", seconds)
    known.note(b"x", None, 0.0)
    known.note(b"x", fault, 0.0)
    assert not known.get(b"x", 2.0)


def test_what_is_known_is_bounded() -> None:
    """What was not asked for the longest is forgotten."""
    known = KnownFaults()
    for number in range(KNOWN_MOST + 10):
        known.note(b"%d" % number, None, 0.0)
    assert known.get(b"9", 1.0) is None
    assert known.get(b"10", 1.0) == (None,)
