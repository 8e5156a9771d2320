"""The table of signals, and how a process takes them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conditions import until
from worker.local.signals import MEANINGS, Meaning

PROGRAM = """
import logging, sys, time
from worker.local.signals import SignalThread
logging.basicConfig(stream=sys.stdout, format="%(message)s")
SignalThread(lambda name: print("stop", name, flush=True), float(sys.argv[1])).install()
log = logging.getLogger()
if sys.argv[2] == "log":
    logging._lock.acquire()
    [handler.acquire() for handler in log.handlers]
print("ready", flush=True)
time.sleep(60)
"""


@contextmanager
def process(grace_s: float, how: str = "plain") -> Iterator[subprocess.Popen[str]]:
    """A program that takes signals, and ready for them."""
    command = [sys.executable, "-c", PROGRAM, str(grace_s), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as made:
        try:
            assert made.stdout is not None
            assert made.stdout.readline() == "ready\n"
            yield made
        finally:
            made.kill()


def lines(made: subprocess.Popen[str], word: str) -> list[str]:
    """What it prints, up to a line with this word."""
    assert made.stdout is not None
    found: list[str] = []
    for line in made.stdout:
        found.append(line.rstrip())
        if word in line:
            break
    return found


def ended_when_told(made: subprocess.Popen[str]) -> bool:
    made.terminate()
    return made.poll() is not None


def test_the_documented_table_is_the_one_that_is_obeyed() -> None:
    """docs/operations.md has each signal, with what is done about it."""
    text = Path("docs/operations.md").read_text("utf-8")
    rows = re.findall(r"^\| (SIG[^|]*) \| ([^|]+) \|$", text, re.MULTILINE)
    documented = {name: meaning for names, meaning in rows for name in names.split(", ")}
    assert documented == {name: str(meaning) for name, meaning in MEANINGS.items()}


def test_every_signal_that_would_end_or_halt_a_process_has_a_meaning() -> None:
    """Of those that a person or a supervisor may send, and that a process can take."""
    faults = {"SIGABRT", "SIGIOT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"}
    harmless = {"SIGCHLD", "SIGCLD", "SIGCONT", "SIGURG", "SIGWINCH"}
    others = faults | harmless | {"SIGKILL", "SIGSTOP", "SIGPOLL", "SIGRTMIN", "SIGRTMAX"}
    assert {each for each in dir(signal) if re.fullmatch("SIG[A-Z0-9]+", each)} - others <= set(MEANINGS)


def test_within_the_grace_period_only_the_first_counts() -> None:
    """It is told, and the stop is begun, once; signals after it are logged, with the time that is left."""
    with process(3600) as made:
        made.terminate()
        assert "Warm shutdown" in lines(made, "stop SIGTERM")[0]
        made.send_signal(signal.SIGINT)
        assert re.fullmatch(
            r"SIGINT: already stopping: 3\d{3} s left; .*", lines(made, "already stopping")[-1]
        )
        assert made.poll() is None


def test_after_the_grace_period_the_next_one_ends_the_process() -> None:
    """With an exit code that says so, whatever the program is doing."""
    with process(0) as made:
        made.terminate()
        lines(made, "Warm shutdown")
        made.send_signal(signal.SIGQUIT)
        assert "the process ends at once" in lines(made, "at once;")[-1]
        assert made.wait(10) == 1


def test_a_log_that_is_locked_keeps_no_signal_from_being_taken() -> None:
    """Another thread may hold the log's lock for ever; the process stops, and ends, all the same."""
    with process(0, "log") as made:
        made.terminate()
        assert lines(made, "stop") == ["stop SIGTERM"]
        until(lambda: ended_when_told(made), "the end")
        assert made.returncode == 1


NOTED = [name for name, meaning in MEANINGS.items() if meaning is Meaning.NOTED and hasattr(signal, name)]


@pytest.mark.parametrize("name", NOTED)
def test_an_ignored_signal_is_named_in_the_log(name: str) -> None:
    """The program goes on."""
    with process(0) as made:
        made.send_signal(getattr(signal, name))
        assert lines(made, "ignored") == [f"{name} is ignored"]
        assert made.poll() is None
