"""What a worker needs, what it is told where it cannot have it, and which errors mean that there is none."""

from __future__ import annotations

import errno
import os
import resource
import socket
from pathlib import Path

import pytest

from worker.local.descriptors import TooFew, needed, ran_out, reserve, words


class Limits:
    """In place of this process's."""

    def __init__(self, soft: int, hard: int, least_refused: int | None = None) -> None:
        self.now = soft, hard
        self.least_refused = least_refused

    def getrlimit(self, _: int) -> tuple[int, int]:
        return self.now

    def setrlimit(self, _: int, new: tuple[int, int]) -> None:
        if self.least_refused is not None and new[0] >= self.least_refused:
            raise ValueError("current limit exceeds maximum limit")
        self.now = new


def limits(monkeypatch: pytest.MonkeyPatch, *args: int) -> Limits:
    made = Limits(*args)
    monkeypatch.setattr(resource, "getrlimit", made.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", made.setrlimit)
    return made


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (1024, 4096, 1024),
        (64, 4096, needed(32)),
        (64, needed(32), needed(32)),
        (64, resource.RLIM_INFINITY, needed(32)),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed(
    soft: int, hard: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never lowered; the hard one stays."""
    made = limits(monkeypatch, soft, hard)
    reserve(32)
    assert made.now == (after, hard)


@pytest.mark.parametrize("refused", [(64, needed(32) - 1), (64, resource.RLIM_INFINITY, 65)])
def test_what_cannot_fit_is_refused(refused: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the hard limit, or by the system in spite of it; the words name setting, need and limit."""
    made = limits(monkeypatch, *refused)
    before = made.now
    with pytest.raises(TooFew) as told:
        reserve(32)
    limit = before[1] if before[1] > 0 else before[0]
    assert f"AIGC_CONCURRENCY=32 needs {needed(32)} file descriptors" in str(told.value)
    assert f"no more than {limit} " in str(told.value)
    assert made.now == before


def test_the_concurrency_that_would_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And that one is not refused."""
    limits(monkeypatch, needed(16), needed(16))
    with pytest.raises(TooFew, match=r"lower it to 16 or less"):
        reserve(32)
    reserve(16)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_running_out_is_known_however_it_is_wrapped(number: int) -> None:
    """As itself, as a cause, as a context, as an argument of another error."""
    error = OSError(number, os.strerror(number))
    caused, within = RuntimeError("lost"), RuntimeError("lost")
    caused.__cause__ = error
    within.__context__ = caused
    for each in (error, caused, within, RuntimeError("lost", error), RuntimeError(within)):
        assert ran_out(each)


@pytest.mark.parametrize("left", [0, 1])
def test_a_name_that_could_not_be_resolved_may_mean_it(left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver hides that it could open nothing: whether there is a descriptor now has to tell."""
    error = RuntimeError("cannot connect")
    error.__context__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def none_left(_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    if not left:
        monkeypatch.setattr("worker.local.descriptors.os.dup", none_left)
    assert ran_out(error) is not bool(left)


def test_other_errors_are_not_taken_for_it() -> None:
    """Nor does a ring of causes make it go round for ever."""
    ring = RuntimeError("one")
    ring.__context__ = RuntimeError("two")
    ring.__context__.__context__ = ring
    for each in (ring, OSError(errno.ECONNREFUSED, "refused"), TimeoutError("timed out"), ValueError(24)):
        assert not ran_out(each)


def test_the_words_name_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is one."""
    limits(monkeypatch, 64, 128)
    assert "out of file descriptors (this process may have 64 open" in words()
    limits(monkeypatch, resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert "(" not in words()


def test_the_documented_numbers_are_the_ones_that_are_asked_for() -> None:
    """docs/operations.md says what a worker of the least, the default and the highest concurrency needs."""
    text = Path("docs/operations.md").read_text("utf-8")
    each, beside = needed(2) - needed(1), needed(0)
    assert f"{each} for each of `AIGC_CONCURRENCY` and {beside} beside" in text
    assert f"{needed(32)} by default, {needed(1024):,} for 1,024" in text
