"""How often the token may be guessed, and for how long decisions are kept."""

from __future__ import annotations

from worker.services.ui.kept import KEPT_S, MOST, Kept
from worker.services.ui.throttle import AGAIN_AFTER_S, WRONG_MOST, Throttle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_some_wrong_tokens_one_has_to_wait() -> None:
    """Each address by itself; then one more is allowed each time."""
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(WRONG_MOST):
        assert throttle.wait_s("a") == 0
        throttle.wrong("a")
    assert 0 < throttle.wait_s("a") <= AGAIN_AFTER_S
    assert throttle.wait_s("b") == 0
    clock.now += AGAIN_AFTER_S
    assert throttle.wait_s("a") == 0
    throttle.wrong("a")
    assert throttle.wait_s("a") > 0
    clock.now += AGAIN_AFTER_S * WRONG_MOST
    assert throttle.wait_s("a") == 0


def test_many_addresses_take_no_more_memory() -> None:
    """The one that was wrong longest ago is forgotten."""
    throttle = Throttle(Clock())
    for _ in range(WRONG_MOST):
        throttle.wrong("a")
    for number in range(1000):
        throttle.wrong(str(number))
    assert throttle.wait_s("a") == 0


def test_a_decision_is_its_sessions() -> None:
    """Another session, which knows its name, gets nothing."""
    kept: Kept[str] = Kept(Clock())
    name = kept.put("ann", "retry")
    assert (kept.get("bob", name), kept.get("ann", name)) == (None, "retry")


def test_decisions_are_forgotten() -> None:
    """After a quarter of an hour, and the oldest where there are many."""
    clock = Clock()
    kept: Kept[int] = Kept(clock)
    old = kept.put("ann", -1)
    clock.now += KEPT_S + 1
    assert kept.get("ann", old) is None
    names = [kept.put("ann", number) for number in range(MOST + 1)]
    assert [kept.get("ann", name) for name in names[:2]] == [None, 1]
