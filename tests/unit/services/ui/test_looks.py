"""Looks at Redis that are shared."""

from __future__ import annotations

import threading

import pytest
from redis.exceptions import ConnectionError

from worker.services.ui.looks import KEPT_S, Look


def test_an_answer_stands_for_a_moment() -> None:
    """Whoever asks within it gets the same, and Redis is not asked again."""
    now, asked = [0.0], iter(range(10))
    look = Look(lambda: next(asked), lambda: now[0])
    assert [look.get(), look.get()] == [0, 0]
    now[0] = KEPT_S
    assert [look.get(), look.get()] == [1, 1]


def test_what_is_dear_is_kept_for_longer() -> None:
    """But not that Redis was away."""
    now, calls = [0.0], []

    def read() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("away")
        return len(calls)

    look = Look(read, lambda: now[0], kept_s=60)
    with pytest.raises(ConnectionError):
        look.get()
    found = []
    for now[0] in (KEPT_S, KEPT_S + 59, KEPT_S + 60):
        found.append(look.get())
    assert found == [2, 2, 3]


def test_that_redis_is_away_stands_for_a_moment_too() -> None:
    """Many who ask do not wait for it one after another."""
    now, calls = [0.0], []

    def read() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("away")
        return 7

    look = Look(read, lambda: now[0])
    for _ in range(2):
        with pytest.raises(ConnectionError):
            look.get()
    now[0] = KEPT_S
    assert (look.get(), len(calls)) == (7, 2)


def test_who_comes_meanwhile_waits_for_the_same_look() -> None:
    """Eight at once are one look."""
    begun, go, calls = threading.Event(), threading.Event(), []

    def read() -> int:
        calls.append(1)
        begun.set()
        assert go.wait(60)
        return 1

    look, found = Look(read), list[int]()
    threads = [threading.Thread(target=lambda: found.append(look.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    go.set()
    for thread in threads:
        thread.join(60)
    assert (found, len(calls)) == ([1] * 8, 1)
