"""Log lines in a queue: none blocks who logs, none is lost in silence, and the last ones come out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.observability import line_writer as module
from worker.observability.line_writer import SPARE, LineWriter, _chunks

PATIENCE_S = 20
SETUP = """
import logging, os, sys, threading
from worker.observability.logs import setup_logging
from worker.observability.redact import Redactor
setup_logging("INFO", "json", Redactor())
log = logging.getLogger("x")
"""


class Pipe:
    """A pipe that takes little, its reader and its writer."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
        self._writers: list[LineWriter] = []

    def line_writer(self, most: int = module.LINES_MOST) -> LineWriter:
        self._writers.append(LineWriter(self.writer, told, most))
        return self._writers[-1]

    def fill(self) -> None:
        """The reader has stopped: no byte more is taken."""
        os.set_blocking(self.writer, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(self.writer, b"." * select.PIPE_BUF):
                pass
        os.set_blocking(self.writer, True)

    def read_until(self, end: str) -> list[str]:
        """The lines, dots aside, once one of them begins like this."""
        found = b""
        while not (lines := [each for each in found.decode().split("\n") if each.startswith(end)]) or (
            found[-1:] != b"\n"
        ):
            assert select.select([self.reader], [], [], PATIENCE_S)[0], (lines, found[-300:])
            found += os.read(self.reader, 65536)
        return [line.lstrip(".") for line in found.decode().splitlines()]

    def close(self) -> None:
        os.close(self.reader)
        for writer in self._writers:  # it finds that nobody reads any more, and is done with its lines
            assert writer.flush()
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def told(dropped: int) -> str:
    return f"lost {dropped}"


def test_a_reader_that_has_stopped_blocks_nobody_and_is_told_what_it_missed(pipe: Pipe) -> None:
    """What fits into the queue comes in its order once the reader is back, then how much did not fit."""
    pipe.fill()
    writer = pipe.line_writer(most=100)
    for number in range(1000):
        writer.put(f"line {number}")
    in_thread = 1000 - writer.unsaid - 100  # taken by the thread, which is blocked, and not written
    assert 0 <= in_thread <= module.TURN
    lost = writer.unsaid
    assert pipe.read_until("lost") == [*(f"line {number}" for number in range(1000 - lost)), f"lost {lost}"]
    writer.put("later")
    assert pipe.read_until("later") == ["later"]
    assert writer.unsaid == 0


def test_lines_of_weight_have_some_room_to_spare(pipe: Pipe) -> None:
    """An error is taken where the queue is full of ordinary lines; that room has an end, too."""
    pipe.fill()
    writer = pipe.line_writer(most=10)
    for _ in range(10 + module.TURN + 1):
        writer.put("ordinary")
    before = writer.unsaid
    writer.put("an error", weighs=True)
    assert writer.unsaid == before > 0
    for _ in range(2 * SPARE):
        writer.put("an error", weighs=True)
    assert writer.unsaid >= SPARE


def test_a_flush_waits_for_a_reader_and_not_for_one_that_has_stopped(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which it was."""
    writer = pipe.line_writer()
    writer.put("read")
    assert writer.flush()
    assert pipe.read_until("read") == ["read"]
    pipe.fill()
    with monkeypatch.context() as patch:
        patch.setattr(module, "FLUSH_S", 0.05)
        writer.put("not read")
        assert not writer.flush()


def test_what_cannot_be_written_is_counted() -> None:
    """A full disk loses lines, and not the program."""
    full = os.open("/dev/full", os.O_WRONLY)
    writer = LineWriter(full, told)
    for _ in range(3):
        writer.put("line")
    assert writer.flush()
    assert writer.unsaid == 3
    os.close(full)


def test_a_descriptor_that_does_not_block_loses_nothing(pipe: Pipe) -> None:
    """Somebody who shares the pipe has made it so: the writer's thread waits by itself."""
    os.set_blocking(pipe.writer, False)
    writer = pipe.line_writer()
    for number in range(2000):
        writer.put(f"line {number}")
    assert pipe.read_until("line 1999") == [f"line {number}" for number in range(2000)]


def test_a_fork_begins_with_an_empty_queue_and_writes_its_own(pipe: Pipe) -> None:
    """What waited in the parent is the parent's to write, once."""
    pipe.fill()
    writer = pipe.line_writer()
    for number in range(5):
        writer.put(f"of the parent {number}")
    child = os.fork()
    if child == 0:
        writer.put("of the child")
        os._exit(0 if writer.flush() else 1)
    lines: list[str] = []
    while "of the child" not in lines or "of the parent 4" not in lines:
        assert select.select([pipe.reader], [], [], PATIENCE_S)[0], lines
        lines += [line.lstrip(".") for line in os.read(pipe.reader, 65536).decode().splitlines()]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sorted(filter(None, lines)) == ["of the child", *(f"of the parent {n}" for n in range(5))]


@given(st.lists(st.binary(max_size=3 * select.PIPE_BUF)))
def test_lines_are_joined_up_to_what_a_pipe_takes_in_one_piece(lines: list[bytes]) -> None:
    """So no line of another process stands in the middle of one of ours; a longer one goes alone."""
    chunks = list(_chunks(lines))
    assert b"".join(chunk for chunk, _ in chunks) == b"".join(lines)
    assert sum(count for _, count in chunks) == len(lines)
    assert all(len(chunk) <= select.PIPE_BUF or count == 1 for chunk, count in chunks)
    assert all(
        len(one) + len(lines[sum(count for _, count in chunks[: i + 1])]) > select.PIPE_BUF
        for i, (one, _) in enumerate(chunks[:-1])
    )


@pytest.mark.parametrize(("end", "code"), [("", 0), ("raise ValueError('crash')", 1), ("sys.exit(3)", 3)])
def test_no_line_is_lost_where_a_process_ends(tmp_path: Path, end: str, code: int) -> None:
    """Thousands of them, by several threads, with the crash that ended it as the last one."""
    program = f"""{SETUP}
def work(name):
    for number in range(1000): log.info("%s %d", name, number)
threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
for thread in threads: thread.start()
for thread in threads: thread.join()
{end}
"""
    output = tmp_path / "log"
    with output.open("wb") as log:
        done = subprocess.run([sys.executable, "-c", program], stderr=log, check=False, timeout=PATIENCE_S)
    lines = output.read_text().splitlines()
    assert done.returncode == code
    assert sum('"logger":"x"' in line for line in lines) == 3000
    assert ("crash" in lines[-1]) == (code == 1)


def test_a_process_ends_whoever_reads_its_log() -> None:
    """With a pipe that is full and read by nobody: in time, by its own exit code."""
    program = f"{SETUP}\nfor number in range(30_000): log.info('a line')\nsys.exit(7)"
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", program], stderr=writer)
    try:
        assert process.wait(PATIENCE_S) == 7
    finally:
        process.kill()
        os.close(reader)
        os.close(writer)
