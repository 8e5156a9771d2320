"""`aigc top` on a real terminal of 80 by 24, beside a real Redis; and where there is no terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.conditions import PATIENCE_S
from tests.integration.desk import KEYS, Desk
from tests.redis_server import RedisServer
from tests.unit.cli.found import HOSTILE

AIGC = [sys.executable, "-c", "from worker.cli import main; main()"]
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LEFT = "\x1b[?1049l"  # the terminal has its own page again


class Screen:
    """A terminal with `aigc top` on it; what was drawn is kept."""

    def __init__(self, environ: Mapping[str, str], *arguments: str, term: str = "xterm-256color") -> None:
        self._ours, end = pty.openpty()
        self.resize(80, 24)
        self.text = ""
        kept = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*AIGC, "top", "--every", "0.2", *arguments],
            env={**kept, **environ, "TERM": term}, stdin=end, stdout=end, stderr=end, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self._end = end

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    @property
    def page(self) -> list[str]:
        """The last page that was drawn in full."""
        pages = _COLOURS.sub("", self.text).split("\x1b[H")
        return [line.rstrip() for line in pages[-1].replace("\r", "").split("\n")]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end or (self.process.poll() is not None and not self._read(0.1)):
                raise AssertionError(f"waited for {what}:\n{self.text[-3000:]!r}")
            self._read(0.1)

    def until_shown(self, words: str) -> None:
        self.until(lambda: any(words in line for line in self.page), words)

    def is_cooked(self) -> bool:
        """Whether keys are echoed, and lines are edited."""
        flags = termios.tcgetattr(self._end)[3]
        return bool(flags & termios.ECHO) and bool(flags & termios.ICANON)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        self.text += os.read(self._ours, 65536).decode(errors="replace")
        return True

    def ended(self) -> int:
        """The exit code, once all that it drew was read."""
        self.until(lambda: self.process.poll() is not None, "the end")
        while self._read(0):
            pass
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._end)


@contextmanager
def shown(server: RedisServer, term: str = "xterm-256color", **environ: str) -> Iterator[Screen]:
    screen = Screen({"AIGC_REDIS_URL": server.url, **environ}, term=term)
    try:
        yield screen
    finally:
        screen.close()


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    made = Desk(redis_server)
    now_ms = made.redis.time()[0] * 1000
    made.redis.hset(KEYS.last_polls, made.registry.owner, now_ms + 600_000)
    yield made
    made.close()


def test_the_page_fits_the_terminal_and_follows_what_happens(desk: Desk, redis_server: RedisServer) -> None:
    """80 by 24; a dead letter shows by itself; nothing is ever cleared or scrolled; q ends it."""
    with shown(redis_server, AIGC_RATE_PER_S="7") as screen:
        screen.until_shown("7 posts/s")
        screen.until_shown("0 unknown (held)")
        desk.add_dead_letter("held")
        screen.until_shown("1 unknown (held)")
        assert len(screen.page) <= 24
        assert max(map(len, screen.page)) <= 80
        assert "\x1b[2J" not in screen.text.partition("\x1b[?1049h")[2]  # cleared each time, it would flicker
        screen.type("q")
        assert screen.ended() == 0
        assert _LEFT in screen.text
        assert screen.is_cooked()


def test_ctrl_c_ends_it_and_leaves_the_terminal_as_it_was(desk: Desk, redis_server: RedisServer) -> None:
    """As of any program; the code says so."""
    with shown(redis_server) as screen:
        screen.until_shown("money")
        assert not screen.is_cooked()
        screen.type("\x03")
        assert screen.ended() == 130
        assert _LEFT in screen.text
        assert screen.is_cooked()
        assert "Traceback" not in screen.text


def test_it_follows_the_terminals_size(desk: Desk, redis_server: RedisServer) -> None:
    """Without a key; what does not fit is counted."""
    with shown(redis_server) as screen:
        screen.until_shown("failed")
        screen.resize(40, 8)
        screen.until(lambda: any("lines more" in line for line in screen.page), "the smaller page")
        screen.until(lambda: len(screen.page) <= 8, "eight lines")
        assert max(map(len, screen.page)) <= 40


def test_a_redis_that_is_away_is_shown_and_comes_back(own_redis_server: RedisServer) -> None:
    """What was seen before stays; nobody has to start it anew."""
    with shown(own_redis_server) as screen:
        screen.until_shown("No worker consumes")
        own_redis_server.kill()
        screen.until_shown("Redis does not answer")
        screen.until_shown("posts")  # it is drawn line by line
        own_redis_server.start()
        screen.until_shown("No worker consumes")
        screen.type("q")
        assert screen.ended() == 0


def test_what_strangers_write_cannot_draw(desk: Desk, redis_server: RedisServer) -> None:
    """Neither rich's markup nor a terminal's escapes: in what a worker says, in a workflow's name."""
    desk.redis.hset(KEYS.troubles, desk.registry.owner, HOSTILE)
    desk.redis.sadd(KEYS.paused, HOSTILE)
    with shown(redis_server) as screen:
        screen.until_shown("[red]bold[/red]")
        screen.type("q")
        screen.ended()
    assert "\x1b]0;" not in screen.text
    assert "\x1b[2J\x1b[31m" not in screen.text


@pytest.mark.parametrize("term", ["dumb", None])
def test_without_a_page_there_is_a_line_each_time(
    desk: Desk, redis_server: RedisServer, term: str | None
) -> None:
    """On a terminal that cannot move its cursor, and in a pipe: plain text, until the reader goes away."""
    if term:
        with shown(redis_server, term=term) as screen:
            screen.until(lambda: screen.text.count("1 worker") >= 2, "two lines")
            assert "\x1b" not in screen.text
        return
    environ = {**os.environ, "AIGC_REDIS_URL": redis_server.url}
    command = [*AIGC, "top", "--every", "0.2"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        read = [process.stdout.readline().decode() for _ in range(2)]
        process.stdout.close()
        said = process.stderr.read()
        process.wait(PATIENCE_S)
    assert all(re.fullmatch(r"\d\d:\d\d:\d\dZ  Idle: 1 worker, .*\n", line) for line in read), read
    assert b"Traceback" not in said
