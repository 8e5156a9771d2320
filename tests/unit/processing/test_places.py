"""Places go to whoever has waited longest, and none is lost."""

from __future__ import annotations

import errno
import select
import threading
from collections.abc import Iterator

import pytest

from worker.processing.places import Bell, Places

NOT_STOPPING = threading.Event()


def rings(bell: Bell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


@pytest.fixture
def bells() -> Iterator[tuple[Bell, Bell]]:
    pair = Bell(), Bell()
    yield pair
    for bell in pair:
        bell.close()


def test_a_batch_takes_what_there_is(bells: tuple[Bell, Bell]) -> None:
    """As many as it wants, or all that are free; what comes back can be taken again."""
    places, (bell, _) = Places(5), bells
    assert (places.take(3, bell), places.take(3, bell)) == (3, 2)
    places.leave(bell)
    places.give_back(5)
    assert places.take(9, bell) == 5


def test_the_bell_rings_for_who_has_waited_longest(bells: tuple[Bell, Bell]) -> None:
    """One place back is one bell; a batch with much to do does not keep another from going on."""
    places, (first, second) = Places(2), bells
    assert (places.take(3, first), places.take(1, second)) == (2, 0)
    places.give_back()
    assert (rings(first), rings(second)) == (True, False)
    first.heard()
    assert not rings(first)
    assert places.take(1, first) == 1
    assert places.take(9, first) == 0
    places.give_back()
    assert rings(second)
    assert places.take(1, second) == 1


def test_a_place_is_owed_only_to_who_has_waited_for_long(
    bells: tuple[Bell, Bell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a batch may go on with its own places for a while; and one that has enough waits for none."""
    now = 100.0
    monkeypatch.setattr("worker.processing.places.time.monotonic", lambda: now)
    places, (first, second) = Places(1), bells
    assert (places.take(1, first), places.take(1, second)) == (1, 0)
    assert not places.are_owed()
    now += 1
    assert places.are_owed()
    assert places.take(0, second) == 0
    assert not places.are_owed()
    places.give_back()
    assert places.take(1, first) == 1


def test_without_descriptors_places_are_found_by_looking(
    bells: tuple[Bell, Bell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is lost; a bell that cannot be made is silent, and is made as soon as it can be."""
    places, (first, second) = Places(3), bells

    def none_left(*_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as starved:
        starved.setattr("worker.processing.places.os.eventfd", none_left, raising=False)
        starved.setattr("worker.processing.places.os.pipe", none_left)
        assert (places.take(2, first), places.take(2, second)) == (2, 1)
        places.give_back(2)
        assert not rings(second)
        second.heard()
        assert places.take(2, second) == 2
        assert places.take(1, second) == 0
    assert places.take(1, second) == 0
    assert places.take(1, first) == 0
    places.give_back()
    assert not rings(first)
    assert places.take(1, second) == 1
    assert places.take(1, second) == 0
    places.leave(first)
    places.give_back()
    assert rings(second)
    second.heard()
    assert not rings(second)


def test_who_leaves_passes_on_what_was_given(bells: tuple[Bell, Bell]) -> None:
    """A place that was given to a batch that has ended goes to the next one."""
    places, (first, second) = Places(1), bells
    assert (places.take(2, first), places.take(1, second)) == (1, 0)
    places.give_back()
    places.leave(first)
    assert rings(second)
    assert places.take(1, second) == 1


def test_a_single_job_waits_its_turn_and_no_longer_than_the_worker_lives(bells: tuple[Bell, Bell]) -> None:
    """It gets a place before a batch that came later; and none once the worker stops."""
    places, (bell, late) = Places(1), bells
    assert places.take(1, bell) == 1
    got: list[bool] = []
    single = threading.Thread(target=lambda: got.append(places.wait(NOT_STOPPING)))
    single.start()
    while not places._waiting:
        pass
    assert places.take(1, late) == 0
    places.give_back()
    single.join(10)
    assert got == [True]
    assert not rings(late)
    stopping = threading.Event()
    stopping.set()
    assert not places.wait(stopping)
    places.give_back()
    assert rings(late)
