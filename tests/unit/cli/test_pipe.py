"""A pipe that is read as it comes."""

from __future__ import annotations

import os
import select
from typing import Any

import pytest

from worker.cli.pipe import Pipe


def test_a_pipe_that_does_not_block_is_waited_for_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shares a terminal or a socket may have made it so: nothing there yet is not the end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    real = select.select

    def selected(*args: Any) -> Any:
        os.write(writing, b"a line\n")
        return real(*args)

    monkeypatch.setattr(select, "select", selected)
    with os.fdopen(reading, "rb") as file:
        assert Pipe(file).readline(100) == b"a line\n"
    os.close(writing)


def test_a_pipe_is_idle_until_a_line_is_whole() -> None:
    """The beginning of one is not waited for with others in hand; it is not lost either."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        pipe = Pipe(file)
        os.write(writing, b"one\n\nt")
        assert not pipe.is_idle(0)
        assert pipe.readline(100) == b"one\n"
        os.write(writing, b"w")
        assert pipe.is_idle(0.01)
        os.write(writing, b"o\n")
        assert not pipe.is_idle(0)
        assert [pipe.readline(100), pipe.readline(100)] == [b"\n", b"two\n"]
        os.close(writing)
        assert not pipe.is_idle(0)
        assert pipe.readline(100) == b""
